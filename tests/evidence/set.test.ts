// A tenth of the set of schemas. tests/long/evidence.test.ts has all of them.

import { testSet } from "./set.ts";

testSet(10);
