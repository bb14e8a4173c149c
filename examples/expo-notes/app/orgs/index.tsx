import { router } from "expo-router";
import { useMemo, useState } from "react";

import { airlock, newKey } from "../../src/airlock";
import { fieldError, Problem } from "../../src/problem";
import { useOrgChange, useOrgQuery } from "../../src/queries";
import { Button, Field, Heading, Screen, TextLink } from "../../src/ui";

export default function Orgs() {
  const { data, error, refetch } = useOrgQuery([], ({ signal }) => airlock.orgs.list({ limit: 100, signal }));
  const [name, setName] = useState("");
  const idempotencyKey = useMemo(newKey, [name]);
  const create = useOrgChange((own) => airlock.orgs.create(name, { idempotencyKey, ...own }));
  const [token, setToken] = useState("");
  const join = useOrgChange((own) => airlock.orgs.join(token.trim(), own));
  const onSuccess = ({ id }: { id: string }) => router.push({ pathname: "/orgs/[id]", params: { id } });
  return (
    <Screen>
      <Problem error={error} retry={refetch} />
      {data?.data.map(({ id, name, role }) => (
        <TextLink key={id} href={{ pathname: "/orgs/[id]", params: { id } }}>{`${name} (${role})`}</TextLink>
      ))}
      <Heading>New organisation</Heading>
      <Field label="Name" value={name} onChangeText={setName} error={fieldError(create.error, "name")} />
      <Problem error={create.error} />
      <Button title="Create" busy={create.isPending} onPress={() => create.mutate(undefined, { onSuccess })} />
      <Heading>Join with an invitation</Heading>
      <Field label="Invitation" value={token} onChangeText={setToken} error={fieldError(join.error, "token")} />
      <Problem error={join.error} />
      <Button title="Join" busy={join.isPending} onPress={() => join.mutate(undefined, { onSuccess })} />
    </Screen>
  );
}
