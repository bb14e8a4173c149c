import { useQuery } from "@tanstack/react-query";
import { router, useLocalSearchParams } from "expo-router";
import { Text } from "react-native";
import type { Role } from "react-native-airlock";

import { airlock, newKey } from "../../src/airlock";
import { Problem } from "../../src/problem";
import { useOrgChange } from "../../src/queries";
import { useUserId } from "../../src/session";
import { Button, Heading, Line, Row, Screen, TextLink } from "../../src/ui";

export default function OrgScreen() {
  const { id } = useLocalSearchParams<{ id: string }>();
  const me = useUserId();
  const { data, error, refetch } = useQuery({
    queryKey: ["orgs", me, id],
    queryFn: async ({ signal }) => ({
      org: await airlock.orgs.get(id, { signal }),
      members: (await airlock.orgs.members(id).list({ limit: 100, signal })).data,
    }),
  });
  const remove = useOrgChange((userId: string) => airlock.orgs.members(id).remove(userId));
  const invite = useOrgChange((options: { role: Role; idempotencyKey: string }) =>
    airlock.orgs.invitations(id).create(options.role, options),
  );
  if (!data) return <Screen>{error ? <Problem error={error} retry={refetch} /> : <Line>Loading…</Line>}</Screen>;

  const owner = data.org.role === "owner";
  const inviteAs = (role: Role) => invite.mutate({ role, idempotencyKey: newKey() });
  return (
    <Screen>
      <Heading>{data.org.name}</Heading>
      <TextLink href={{ pathname: "/notes", params: { org: id } }}>Notes</TextLink>
      <Heading>Members</Heading>
      {data.members.map(({ user_id, role }) => (
        <Row key={user_id}>
          <Line>{`${user_id === me ? "You" : user_id.slice(0, 8)}: ${role}`}</Line>
          {owner && user_id !== me && <Button title="Remove" onPress={() => remove.mutate(user_id)} />}
        </Row>
      ))}
      <Problem error={remove.error} />
      <Button title="Leave" onPress={() => remove.mutate(me, { onSuccess: () => router.back() })} />
      {owner && <Heading>Invite</Heading>}
      {owner && (
        <Row>
          <Button title="Invite an editor" busy={invite.isPending} onPress={() => inviteAs("editor")} />
          <Button title="Invite a viewer" busy={invite.isPending} onPress={() => inviteAs("viewer")} />
        </Row>
      )}
      <Problem error={invite.error} />
      {invite.data && <Line>Send this to one person, who can join with it. It is shown only now.</Line>}
      {invite.data && <Text selectable aria-label="New invitation">{invite.data.token}</Text>}
    </Screen>
  );
}
