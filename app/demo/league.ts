/** The leagues and clubs of the demo. All of them are invented. */
import type { Random } from "./random.ts";

/** A football club. Its strengths are factors around 1 on the goals of an average match. */
export interface Club {
  readonly name: string;
  /** Above 1: scores more than the average. */
  readonly attack: number;
  /** Above 1: concedes more than the average. */
  readonly defence: number;
}

/** A league and those of its clubs that are not on the board at the moment. */
export interface League {
  readonly name: string;
  /** Takes two idle clubs for a match; the first plays at home. @throws RangeError when none are idle */
  draw(random: Random): { readonly home: Club; readonly away: Club };
  /** Gives clubs back after their match. */
  release(...clubs: readonly Club[]): void;
}

/** Names of the leagues, and of the clubs in each. */
export const CLUBS: Readonly<Record<string, readonly string[]>> = {
  "Veldmark Premier": [
    "Harrowmere Athletic",
    "Port Calder",
    "Dunvale Rovers",
    "Ashenford Town",
    "Wexholm City",
    "Kingsferrow",
    "Millocray United",
    "Thornbeck Wanderers",
    "Saltmere Albion",
    "Elmhollow",
    "Greywick Rangers",
    "Bramblecross",
    "Oxcombe Vale",
    "Fennimoor",
  ],
  "Norrin First Division": [
    "Kråkholt BK",
    "IF Älvmora",
    "Sølvnes",
    "Frostvik IL",
    "Tyrahamn",
    "Grimsund FK",
    "Eldersta",
    "Ravnfjell",
    "Holmgarda",
    "Byvind IF",
    "Lodsund",
    "Skarnäs",
    "Ørnhavn",
    "Vinterlund",
  ],
  "Cassaly League": [
    "Real Tamarel",
    "Sporting Vilaruda",
    "Montalvero",
    "Atlético Cassaly",
    "Porto Miravel",
    "União Serrabela",
    "Castelmora",
    "Deportivo Orbelal",
    "Fontesada",
    "Santa Brisa",
    "Racing Almendor",
    "Belcastria",
    "Vallefiora",
    "Nova Cintrel",
  ],
  "Ostrel Liga": [
    "FK Brezovar",
    "Dynamo Krasnitz",
    "Slavoj Petrovín",
    "Škarin",
    "Lokomotiv Zelmir",
    "Torpedo Varnik",
    "Bělovar",
    "Orlin Tarov",
    "Radomisk",
    "Vltanka",
    "Drakov",
    "Sokol Mirotín",
    "Karpolin",
    "Tisovar",
  ],
};

/** Makes the leagues, each club with strengths drawn for this match-day. */
export function createLeagues(random: Random): readonly League[] {
  return Object.entries(CLUBS).map(([name, clubs]) => {
    const idle: Club[] = clubs.map((club) => ({
      name: club,
      attack: 0.7 + 0.7 * random.next(),
      defence: 0.7 + 0.6 * random.next(),
    }));
    function take(among: Random): Club {
      const club = among.pick(idle);
      idle.splice(idle.indexOf(club), 1);
      return club;
    }
    return {
      name,
      draw: (among) => ({ home: take(among), away: take(among) }),
      release: (...played) => void idle.push(...played),
    };
  });
}
