// A load of mixed faults. tests/long/load.test.ts has ten times as many requests.

import { testLoad } from "../support/load.ts";

testLoad(0.1);
