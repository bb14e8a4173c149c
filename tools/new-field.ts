// npm run new-field -- RESOURCE FIELD: one more field of a resource, as a line of airlock.toml and a migration.
//
//     npm run new-field -- tags "rank:integer(0..1000)?"

import { planField } from "./resource/plan.ts";
import { write } from "./resource/write.ts";

await write(planField, "Review the limits, and what rows that exist will have.");
