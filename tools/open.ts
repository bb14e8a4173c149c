// npm run open -- TABLE: undoes npm run close, as a migration.

import { writeClosing } from "./resource/closing.ts";

await writeClosing("open");
