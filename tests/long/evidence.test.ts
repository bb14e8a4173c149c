// The audit on every flawed and every ordinary schema of the set.

import { testSet } from "../evidence/set.ts";

testSet(1);
