// Three schemas through adopt. tests/long/adopt.test.ts has all of them.

import { testSchemas, THREE } from "./set.ts";

testSchemas(THREE);
