// Removes the code and the data that nothing reaches once some functions have no body any more: their messages, tables and
// callees. The linker's relocations (`--emit-relocs`) say exactly which function and which data refers to which.
//
// The formats: https://webassembly.github.io/spec/core/binary/ and
// https://github.com/WebAssembly/tool-conventions/blob/main/Linking.md

/** A function's body or a piece of data, and what it refers to. */
interface Part {
  start: number;
  end: number;
  refers: Set<Part>;
}

/** Kinds of relocations, by their numbers. */
const TO_FUNCTION = [0, 1, 2, 8];
const TO_DATA = [3, 4, 5];
const WITH_ADDEND = [3, 4, 5, 8, 9];
/** Relocations that refer to types, globals, sections, tags and tables. */
const TO_OTHERS = [6, 7, 9, 10, 13, 20];

const SECTION = { custom: 0, import: 2, export: 7, start: 8, code: 10, data: 11 };

/** Reads numbers and names of a module, one after the other. */
class Reader {
  at = 0;
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  byte(): number {
    return this.bytes[this.at++] ?? 0;
  }

  /** A number in LEB128; of a signed one only its length matters here. */
  number(): number {
    for (let value = 0, scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  name(): string {
    const length = this.number();
    this.at += length;
    return new TextDecoder().decode(this.bytes.subarray(this.at - length, this.at));
  }

  list<T>(read: () => T): T[] {
    return Array.from({ length: this.number() }, read);
  }
}

/** What the body of a function becomes: a trap, or nothing but the return of 0. */
export type Replacement = "trap" | "zero";

/**
 * Replaces functions by their names, and then what nothing reaches any more: functions by traps, data by zeros. All of it
 * happens in place, so that no address changes; wasm-opt drops zeros and functions that nothing calls. Returns the module
 * without what the linker wrote for this.
 */
export function removeDead(module: Uint8Array, replacement: (name: string) => Replacement | undefined): Uint8Array {
  const reader = new Reader(module);
  const sections: { kind: number; name: string; header: number; start: number; end: number }[] = [];
  for (reader.at = 8; reader.at < module.length; ) {
    const header = reader.at;
    const kind = reader.byte();
    const end = reader.number() + reader.at;
    const start = reader.at;
    sections.push({ kind, name: kind === SECTION.custom ? reader.name() : "", header, start, end });
    reader.at = end;
  }
  const section = (kind: number, name = "") => {
    const found = sections.findIndex((one) => one.kind === kind && one.name === name);
    const { start, end } = sections[found] ?? { start: 0, end: 0 };
    reader.at = start;
    if (kind === SECTION.custom) reader.name();
    return { place: found, start, end };
  };

  // Functions by their numbers. Imported ones come first and have no body.
  section(SECTION.import);
  const functions: (Part | undefined)[] = [];
  reader.list(() => {
    reader.name();
    reader.name();
    const kind = reader.byte();
    if (kind !== 0) throw new Error(`a module that imports more than functions: ${kind}`);
    reader.number();
    functions.push(undefined);
  });
  const code = section(SECTION.code);
  reader.list(() => {
    const end = reader.number() + reader.at;
    functions.push({ start: reader.at, end, refers: new Set() });
    reader.at = end;
  });
  const bodies = functions.flatMap((one) => one ?? []);

  // Where the bytes of each segment are.
  const data = section(SECTION.data);
  const segments = reader.list(() => {
    // Its kind, then its address: `i32.const`, a number and `end`.
    reader.at += 2;
    reader.number();
    reader.at += 1;
    const length = reader.number();
    reader.at += length;
    return reader.at - length;
  });

  // The symbols, which the relocations name by their numbers.
  const linking = section(SECTION.custom, "linking");
  reader.number();
  const symbols: (Part | undefined)[] = [];
  const pieces = new Map<string, Part>();
  while (reader.at < linking.end) {
    const kind = reader.byte();
    const end = reader.number() + reader.at;
    if (kind === 8) reader.list(() => symbols.push(symbol()));
    reader.at = end;
  }
  function symbol(): Part | undefined {
    const [kind, flags] = [reader.byte(), reader.number()];
    const [isUndefined, isNamed] = [(flags & 0x10) !== 0, (flags & 0x40) !== 0];
    if (kind === 1) {
      reader.name();
      if (isUndefined) return undefined;
      const [segment, offset, size] = [reader.number(), reader.number(), reader.number()];
      const start = (segments[segment] ?? 0) + offset;
      const key = `${start} ${size}`;
      const piece = pieces.get(key) ?? { start, end: start + size, refers: new Set<Part>() };
      pieces.set(key, piece);
      return piece;
    }
    const number = reader.number();
    if (kind !== 3 && (!isUndefined || isNamed)) reader.name();
    return kind === 0 ? functions[number] : undefined;
  }

  const ordered = [...pieces.values()];
  relocations("reloc.CODE", code, bodies);
  relocations("reloc.DATA", data, ordered);
  function relocations(name: string, of: { place: number; start: number }, parts: Part[]) {
    section(SECTION.custom, name);
    if (reader.number() !== of.place) throw new Error(`${name} is about another section`);
    // Where the symbols of a section overlap, a place may be in several of them.
    const sorted = parts.sort((a, b) => a.start - b.start);
    let first = 0;
    reader.list(() => {
      const [kind, offset, index] = [reader.byte(), reader.number() + of.start, reader.number()];
      if (WITH_ADDEND.includes(kind)) reader.number();
      while ((sorted[first]?.end ?? Infinity) <= offset) first++;
      const refers = TO_FUNCTION.includes(kind) || TO_DATA.includes(kind);
      if (!refers && !TO_OTHERS.includes(kind)) throw new Error(`${name} has a relocation of kind ${kind}`);
      const to = refers ? symbols[index] : undefined;
      let found = false;
      for (let n = first; (sorted[n]?.start ?? Infinity) <= offset; n++) {
        const from = sorted[n];
        if (!from || from.end <= offset) continue;
        found = true;
        if (to) from.refers.add(to);
      }
      if (!found) throw new Error(`${name} has a place that is in no symbol`);
    });
  }

  const names = section(SECTION.custom, "name");
  while (reader.at < names.end) {
    const kind = reader.byte();
    const end = reader.number() + reader.at;
    if (kind === 1) {
      reader.list(() => {
        const body = functions[reader.number()];
        const replaced = replacement(reader.name());
        if (!body || !replaced) return;
        body.refers.clear();
        replace(body, replaced);
      });
    }
    reader.at = end;
  }

  /** No variables, then as many instructions as there is room for: `unreachable`, or `nop` and `i32.const 0`. */
  function replace({ start, end }: Part, by: Replacement) {
    module.fill(by === "trap" ? 0 : 1, start, end);
    module[start] = 0;
    if (by === "zero") module.set([0x41, 0], end - 3);
    module[end - 1] = 0x0b;
  }

  const live = new Set<Part>();
  const reach = (part: Part | undefined) => {
    const waiting = part ? [part] : [];
    for (let one = waiting.pop(); one; one = waiting.pop()) {
      if (live.has(one)) continue;
      live.add(one);
      waiting.push(...one.refers);
    }
  };
  section(SECTION.export);
  reader.list(() => {
    reader.name();
    const kind = reader.byte();
    const number = reader.number();
    if (kind === 0) reach(functions[number]);
  });
  if (section(SECTION.start).place >= 0) reach(functions[reader.number()]);

  for (const body of bodies) if (!live.has(body)) replace(body, "trap");
  // Pieces can overlap, since equal ends of texts are stored once.
  const kept = new Uint8Array(module.length);
  for (const piece of ordered) if (live.has(piece)) kept.fill(1, piece.start, piece.end);
  for (const { start, end } of ordered) for (let at = start; at < end; at++) if (!kept[at]) module[at] = 0;
  const rest = sections.filter(({ name }) => !/^(linking|reloc\..*)$/.test(name));
  return Buffer.concat([module.subarray(0, 8), ...rest.map(({ header, end }) => module.subarray(header, end))]);
}
