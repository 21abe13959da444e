using System.Text.Json;
using System.Text.Json.Serialization;

namespace Origin;

// The types of app/demo/contract.ts, which says what they mean. SignalR writes their names in camel case.

[JsonConverter(typeof(KebabCase<Phase>))]
enum Phase { Scheduled, FirstHalf, HalfTime, SecondHalf, FullTime }

[JsonConverter(typeof(KebabCase<ScoreReason>))]
enum ScoreReason { Minute, Goal, Card, Phase }

[JsonConverter(typeof(KebabCase<TickerKind>))]
enum TickerKind { Goal, Card, Phase, Point, Game, Set }

[JsonConverter(typeof(KebabCase<Refusal>))]
enum Refusal { Suspended, PriceChanged }

sealed record Selection(string Id, string Name, decimal Price);

sealed record Market(string MarketId, string Name, bool Suspended, Selection[] Selections);

sealed record TeamState(string Name, int Goals = 0, int Yellow = 0, int Red = 0);

sealed record MatchState(
    int MatchId, Phase Phase, int Minute, TeamState Home, TeamState Away, string League, Market[] Markets);

/// <param name="Sequence">
/// Not in the contract: rises with each OddsChanged of this process, so that tests can check order.
/// </param>
sealed record OddsChanged(
    int MatchId, string MarketId, string Name, bool Suspended, Selection[] Selections, long Sequence);

sealed record ScoreChanged(
    int MatchId, Phase Phase, int Minute, TeamState Home, TeamState Away, ScoreReason Reason);

sealed record TickerItem(long Id, string Sport, TickerKind Kind, string Text);

sealed record Announcement(long Id, string Text);

sealed record Bet(int MatchId, string MarketId, string SelectionId, decimal Price, decimal Stake);

sealed record BetReceipt(
    bool Accepted,
    decimal Price,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] long? BetId = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] Refusal? Reason = null);

sealed record HubStats(
    long Connections,
    long ConnectionsTotal,
    IReadOnlyDictionary<string, long> Joins,
    long JoinsTotal,
    long LeavesTotal,
    IReadOnlyDictionary<string, long> Calls,
    long Streams,
    IReadOnlyDictionary<string, long> Pushes);

/// <summary>Writes <c>FirstHalf</c> as <c>"first-half"</c>.</summary>
sealed class KebabCase<TEnum>() : JsonStringEnumConverter<TEnum>(JsonNamingPolicy.KebabCaseLower)
    where TEnum : struct, Enum;
