// What wrangler.toml says of a deployment, and what it lacks.

import { loadWrangler } from "./heavy.ts";
import { ask, Failure } from "./shell.ts";

/** The commit of this clone, as a deployment names it; undefined without git. */
export function commit(): Promise<string | undefined> {
  return ask("git", ["describe", "--always", "--dirty=-changed", "--abbrev=12", "--exclude=*"]);
}

/** The part of wrangler's configuration that is looked at; its own type is too wide to be checked. */
export interface DeploymentConfig {
  vars: Record<string, unknown>;
  routes?: (string | { pattern: string })[] | undefined;
}

/** wrangler's configuration in a file, of one environment; `""` is the deployment without one. */
export async function configuration(
  file: string,
  env = "",
): Promise<DeploymentConfig & { definedEnvironments?: string[] }> {
  // Here, because most faults of a command line are found before.
  const { unstable_readConfig } = loadWrangler();
  try {
    const top = unstable_readConfig({ config: file }, { hideWarnings: env !== "" });
    if (env === "") return top;
    const { definedEnvironments: names = [] } = top as { definedEnvironments?: string[] };
    if (!names.includes(env))
      throw new Failure(`${file} has no environment "${env}". It has: ${names.join(", ") || "none"}.`);
    return unstable_readConfig({ config: file, env });
  } catch (error) {
    throw error instanceof Failure ? error : new Failure(`wrangler refuses ${file}: ${(error as Error).message}`);
  }
}

/** What has to be filled in before a deployment can serve a request. */
export function unset({ vars, routes = [] }: DeploymentConfig): string[] {
  const names = Object.keys({ SUPABASE_URL: "", ...vars }).filter((name) => (vars[name] ?? "") === "");
  const patterns = routes.map((route) => (typeof route === "string" ? route : route.pattern));
  const placeholders = patterns.filter((pattern) => /(^|\.)example\.com(\/|$)/.test(pattern));
  return [...names, ...placeholders.map((pattern) => `routes (${pattern} is a placeholder)`)];
}
