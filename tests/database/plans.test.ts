// Each list of each resource reads one index range, whatever else is in the table. tests/long/plans.test.ts has more rows.

import { testPlans } from "../support/plans.ts";

await testPlans(20_000);
