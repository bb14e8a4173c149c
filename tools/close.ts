// npm run close -- TABLE [--report]: edge-only mode of one table, as a migration. With --report nothing is refused yet, and the
// database's log has a line for each direct call.

import { writeClosing } from "./resource/closing.ts";

await writeClosing("close");
