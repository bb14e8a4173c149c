// Each list of each resource reads one index range, whatever else is in the table.

import { testPlans } from "../support/plans.ts";

await testPlans(100_000);
