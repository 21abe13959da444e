using Microsoft.AspNetCore.SignalR;

namespace Origin;

/// <summary>The hub of app/demo/contract.ts.</summary>
sealed class LiveHub(Board board, Stats stats) : Hub
{
    static long s_lastBetId;

    public async Task JoinMatch(int id)
    {
        Find(id);
        await Groups.AddToGroupAsync(Context.ConnectionId, Board.Group(id));
        stats.Joined(id);
    }

    public async Task LeaveMatch(int id)
    {
        await Groups.RemoveFromGroupAsync(Context.ConnectionId, Board.Group(id));
        stats.Left();
    }

    public MatchState GetMatch(int id) => Find(id).State;

    public IAsyncEnumerable<TickerItem> Ticker(string sport, CancellationToken cancellation) =>
        board.Tickers.TryGetValue(sport, out var ticker)
            ? ticker.Read(cancellation)
            : throw new HubException($"Unknown sport: {sport}");

    public BetReceipt PlaceBet(Bet bet)
    {
        var market = Find(bet.MatchId).State.Market(bet.MarketId)
            ?? throw new HubException($"Unknown market: {bet.MarketId}");
        var selection = Array.Find(market.Selections, selection => selection.Id == bet.SelectionId)
            ?? throw new HubException($"Unknown selection: {bet.SelectionId}");
        if (bet.Stake is not (> 0 and <= 10_000))
        {
            throw new HubException($"Stake must be above 0 and at most 10000: {bet.Stake}");
        }
        if (market.Suspended)
        {
            return new(false, selection.Price, Reason: Refusal.Suspended);
        }
        return selection.Price == bet.Price
            ? new(true, selection.Price, BetId: Interlocked.Increment(ref s_lastBetId))
            : new(false, selection.Price, Reason: Refusal.PriceChanged);
    }

    public HubStats Stats() => stats.Snapshot();

    Match Find(int id) =>
        board.Find(id) ?? throw new HubException($"Unknown match: {id} is not between 1 and {Board.MatchCount}");
}
