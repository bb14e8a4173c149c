// The same as tests/database/plans.test.ts, with a million rows: for the resources of airlock.toml and one of the tests'.

import { testPlans } from "../support/plans.ts";

await testPlans(1_000_000, ({ name }) => !["records", "errands"].includes(name));
