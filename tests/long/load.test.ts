// The same as tests/e2e/load.test.ts, with 2,000 requests.

import { testLoad } from "../support/load.ts";

testLoad(1);
