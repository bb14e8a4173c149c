import { useLocalSearchParams } from "expo-router";
import type { Role } from "react-native-airlock";

import { airlock, newKey } from "../../../src/airlock";
import { Problem } from "../../../src/problem";
import { useOrgChange, useOrgQuery } from "../../../src/queries";
import { Button, Copyable, Heading, Line, Row, Screen } from "../../../src/ui";

/** For owners: invites, and revokes unused invitations. */
export default function Invitations() {
  const { id } = useLocalSearchParams<{ id: string }>();
  const invitations = airlock.orgs.invitations(id);
  const { data, error, refetch } = useOrgQuery([id, "invitations"], ({ signal }) => invitations.list({ limit: 100, signal }));
  const invite = useOrgChange((own, [role, idempotencyKey]: [Role, string]) => invitations.create(role, { idempotencyKey, ...own }));
  const revoke = useOrgChange((own, invitation: string) => invitations.remove(invitation, own));
  const pending = data?.data.filter(({ accepted_at }) => accepted_at === null);
  return (
    <Screen>
      <Row>
        <Button title="Invite an editor" busy={invite.isPending} onPress={() => invite.mutate(["editor", newKey()])} />
        <Button title="Invite a viewer" busy={invite.isPending} onPress={() => invite.mutate(["viewer", newKey()])} />
      </Row>
      <Problem error={invite.error ?? revoke.error} />
      {invite.data && <Line>Send this to one person, who can join with it. It is shown only now.</Line>}
      {invite.data && <Copyable aria-label="New invitation">{invite.data.token}</Copyable>}
      <Heading>{pending?.length === 0 ? "No invitation is pending." : "Pending"}</Heading>
      <Problem error={error} retry={refetch} />
      {pending?.map(({ id, role, expires_at }) => (
        <Row key={id}>
          <Line>{`${role}, until ${expires_at.slice(0, 10)}`}</Line>
          <Button title="Revoke" onPress={() => revoke.mutate(id)} />
        </Row>
      ))}
    </Screen>
  );
}
