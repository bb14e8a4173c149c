// CORS as hosted Supabase's gateway has it: a page of any origin may call, because a key and a token decide about the
// answer. Without it the web build of an app could not sign in.

const EXPOSED =
  "Content-Location, Content-Range, Link, Location, Preference-Applied, Range-Unit, X-Supabase-Api-Version, X-Total-Count";

/** The answer to a preflight; `undefined` for any other request. */
export function preflight({ method, headers }: Request): Response | undefined {
  if (method !== "OPTIONS" || !headers.has("access-control-request-method")) return undefined;
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS",
      "access-control-allow-headers": headers.get("access-control-request-headers") ?? "",
      "access-control-max-age": "3600",
    },
  });
}

/** Lets a page of any origin read the response. */
export function expose(response: Response): Response {
  const headers = new Headers(response.headers);
  headers.set("access-control-allow-origin", "*");
  headers.set("access-control-expose-headers", EXPOSED);
  return new Response(response.body, { status: response.status, headers });
}
