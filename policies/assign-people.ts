/**
 * Which person counts for which group. One person counts once, so with people in several groups this is a bipartite
 * matching: Kuhn's augmenting paths over the places of all groups. It finds an assignment that fills every place
 * whenever one exists, and the same one for the same input order.
 */

/** How many places there are, per group. */
export type Places = Readonly<Record<string, number>>;
/** In which groups each person may count, in the order of preference. */
export type Offers = ReadonlyMap<string, readonly string[]>;

/** @returns person -> group, for the people that fill a place */
export function assignPeople(places: Places, offers: Offers): ReadonlyMap<string, string> {
  const seats = Object.keys(places)
    .sort()
    .flatMap((group) => Array.from({ length: places[group] ?? 0 }, () => group));
  const seatOf = new Map<string, number>();
  const sitterOf = new Map<number, string>();

  /** Seats somebody, moving those already seated along one path if that makes room. Depth <= number of people. */
  const fill = (seat: number, asked: Set<string>): boolean => {
    for (const [person, groups] of offers) {
      if (asked.has(person) || !groups.includes(seats[seat] ?? '')) continue;
      asked.add(person);
      const held = seatOf.get(person);
      if (held !== undefined && !fill(held, asked)) continue;
      seatOf.set(person, seat);
      sitterOf.set(seat, person);
      return true;
    }
    return false;
  };
  seats.forEach((_, seat) => {
    fill(seat, new Set());
  });
  return new Map([...sitterOf].map(([seat, person]) => [person, seats[seat] ?? '']));
}

/** Whether distinct people can fill all places. */
export function canFill(places: Places, offers: Offers): boolean {
  const wanted = Object.values(places).reduce((total, count) => total + count, 0);
  return assignPeople(places, offers).size === wanted;
}
