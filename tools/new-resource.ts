// npm run new-resource -- NAME FIELD... --owner user|org|both [--search FIELDS] [--under RESOURCE.COLUMN]: a new table, as a section
// of airlock.toml and a migration. Everything else follows from these. docs/resources.md has the kinds of fields.
//
//     npm run new-resource -- tags "label:text(1..50)" "color:one_of(red,green)=red" "due:date?" --owner user --search label

import { planResource } from "./resource/plan.ts";
import { write } from "./resource/write.ts";

await write(planResource, "Review whose rows they are, the limits, and in the migration who may read and write.");
