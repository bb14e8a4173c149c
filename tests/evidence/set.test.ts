// A tenth of the set of schemas. tests/long/foreign.test.ts has all of them, tests/long/evidence.test.ts those on the embedded
// database, beside the core of Airlock.

import { testSet } from "./set.ts";
import { openForeign } from "./support.ts";

testSet(10, openForeign, []);
