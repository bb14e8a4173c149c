// A vector of App Guard, as tests/vectors/app-guard.json has it.

export interface Vector {
  name: string;
  app_id: string;
  secret: string;
  timestamp: number;
  nonce: string;
  method: string;
  target: string;
  token: string | null;
  body: string | null;
  idempotency_key: string | null;
  if_match: string | null;
  if_none_match: string | null;
  canonical: string;
  signature: string;
}

/** The request of a vector, as the client's signer takes it. */
export function requestOf({ method, target, token, body, timestamp, nonce, ...vector }: Vector) {
  const headers = {
    idempotencyKey: vector.idempotency_key,
    ifMatch: vector.if_match,
    ifNoneMatch: vector.if_none_match,
  };
  return { appId: vector.app_id, timestamp, nonce, method, target, token, body, ...headers };
}
