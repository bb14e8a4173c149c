// The audit of the embedded database, on every flawed and every ordinary schema of the set.

import { testSet } from "../evidence/set.ts";
import { openEmbedded } from "../evidence/support.ts";

testSet(1, openEmbedded);
