// The audit of a real Postgres server, on every flawed and every ordinary schema of the set.

import { testSet } from "../evidence/set.ts";
import { openForeign } from "../evidence/support.ts";

testSet(1, openForeign, []);
