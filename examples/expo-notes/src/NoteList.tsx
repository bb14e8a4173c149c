import { keepPreviousData, useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { FlatList, View } from "react-native";

import { Problem } from "./problem";
import { useNotes } from "./queries";
import { Button, CardLink, Field, Line, Row, styles, TextLink } from "./ui";

/** Notes page by page, with search; or the deleted ones, to restore. */
export function NoteList({ org, state = "active", children }: { org?: string; state?: "active" | "deleted"; children?: ReactNode }) {
  const notes = useNotes(org);
  const [words, setWords] = useState("");
  const q = words.trim();
  const list = useInfiniteQuery({ ...notes.list({ state, ...(q && { q }) }), placeholderData: keepPreviousData });
  const restore = useMutation(notes.restore());
  const params = org ? { org } : {};
  const nextPage = () => list.hasNextPage && !list.isFetching && list.fetchNextPage();

  return (
    <View style={[styles.screen, { flex: 1 }]}>
      <Field label="Search" value={words} onChangeText={setWords} autoCapitalize="none" />
      {state === "active" && (
        <Row>
          <TextLink href={{ pathname: "/note/new", params }}>New note</TextLink>
          <TextLink href={{ pathname: "/notes", params: { ...params, state: "deleted" } }}>Trash</TextLink>
          {children}
        </Row>
      )}
      <Problem error={list.error} retry={list.refetch} />
      <Problem error={restore.error} />
      {list.isPending && <Line>Loading…</Line>}
      <FlatList
        contentContainerStyle={{ gap: 8 }}
        data={list.data?.pages.flatMap(({ data }) => data)}
        keyExtractor={({ id }) => id}
        onRefresh={list.refetch}
        refreshing={list.isRefetching}
        onEndReached={nextPage}
        ListEmptyComponent={list.isSuccess ? <Line>{q ? "No note has these words." : "No notes."}</Line> : undefined}
        renderItem={({ item: { id, title } }) =>
          state === "active" ? (
            <CardLink href={{ pathname: "/note/[id]", params: { id, ...params } }}>{title}</CardLink>
          ) : (
            <Row>
              <Line>{title}</Line>
              <Button title="Restore" onPress={() => restore.mutate({ id })} />
            </Row>
          )
        }
      />
    </View>
  );
}
