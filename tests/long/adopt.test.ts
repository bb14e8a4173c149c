// All schemas of the set through adopt.

import { ALL, testSchemas } from "../adopt/set.ts";

testSchemas(ALL);
