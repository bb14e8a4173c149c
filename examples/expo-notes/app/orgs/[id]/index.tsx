import { router, useLocalSearchParams } from "expo-router";

import { airlock } from "../../../src/airlock";
import { Problem } from "../../../src/problem";
import { useOrgChange, useOrgQuery } from "../../../src/queries";
import { useUserId } from "../../../src/session";
import { Button, Heading, Line, Row, Screen, TextLink } from "../../../src/ui";

export default function OrgScreen() {
  const { id } = useLocalSearchParams<{ id: string }>();
  const me = useUserId();
  const { data, error, refetch } = useOrgQuery([id], async ({ signal }) => ({
    org: await airlock.orgs.get(id, { signal }),
    members: (await airlock.orgs.members(id).list({ limit: 100, signal })).data,
  }));
  const remove = useOrgChange((own, userId: string) => airlock.orgs.members(id).remove(userId, own));
  if (!data) return <Screen>{error ? <Problem error={error} retry={refetch} /> : <Line>Loading…</Line>}</Screen>;

  const owner = data.org.role === "owner";
  return (
    <Screen>
      <Heading>{data.org.name}</Heading>
      <TextLink href={{ pathname: "/notes", params: { org: id } }}>Notes</TextLink>
      {owner && <TextLink href={{ pathname: "/orgs/[id]/invitations", params: { id } }}>Invitations</TextLink>}
      <Heading>Members</Heading>
      {data.members.map(({ user_id, role }) => (
        <Row key={user_id}>
          <Line>{`${user_id === me ? "You" : user_id.slice(0, 8)}: ${role}`}</Line>
          {owner && user_id !== me && <Button title="Remove" onPress={() => remove.mutate(user_id)} />}
        </Row>
      ))}
      <Problem error={remove.error} />
      <Button title="Leave" onPress={() => remove.mutate(me, { onSuccess: () => router.back() })} />
    </Screen>
  );
}
