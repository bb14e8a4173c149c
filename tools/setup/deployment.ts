// What a deployment lacks, as wrangler.toml describes it.

import { ask } from "./shell.ts";

/** The commit of this clone, as a deployment names it; undefined without git. */
export function commit(): Promise<string | undefined> {
  return ask("git", ["describe", "--always", "--dirty=-changed", "--abbrev=12", "--exclude=*"]);
}

/** The part of wrangler's configuration that is looked at; its own type is too wide to be checked. */
export interface DeploymentConfig {
  vars: Record<string, unknown>;
  routes?: (string | { pattern: string })[] | undefined;
}

/** What has to be filled in before a deployment can serve a request. */
export function unset({ vars, routes = [] }: DeploymentConfig): string[] {
  const names = Object.keys({ SUPABASE_URL: "", ...vars }).filter((name) => (vars[name] ?? "") === "");
  const patterns = routes.map((route) => (typeof route === "string" ? route : route.pattern));
  const placeholders = patterns.filter((pattern) => /(^|\.)example\.com(\/|$)/.test(pattern));
  return [...names, ...placeholders.map((pattern) => `routes (${pattern} is a placeholder)`)];
}
