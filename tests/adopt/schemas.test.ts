// Three schemas through adopt. tests/long/adopt.test.ts has all of them.

import { THREE, testSchemas } from "./set.ts";

testSchemas(THREE);
