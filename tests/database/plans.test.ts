// Each list of each resource reads one index range, among any other rows. tests/long/plans.test.ts has more rows.

import { testPlans } from "../support/plans.ts";

await testPlans(20_000);
