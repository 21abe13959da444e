using Microsoft.AspNetCore.SignalR;

namespace Origin;

/// <summary>The matches and tickers as they stand, and the one place that changes and pushes them.</summary>
sealed class Board(IHubContext<LiveHub> hub, Stats stats)
{
    public const int MatchCount = 20;

    readonly Match[] _matches = [.. Enumerable.Range(1, MatchCount).Select(id => new Match(new Fixture(id).State))];
    long _sequence, _announcements;

    /// <summary>Tickers by sport.</summary>
    public IReadOnlyDictionary<string, Ticker> Tickers { get; } = new Dictionary<string, Ticker>
    {
        ["football"] = new("football", stats),
        ["tennis"] = new("tennis", stats),
    };

    public static string Group(int matchId) => $"match/{matchId}";

    public Match? Find(int matchId) => matchId is >= 1 and <= MatchCount ? _matches[matchId - 1] : null;

    /// <summary>Changes one market and pushes it to the match's group.</summary>
    /// <returns>The sequence of the push.</returns>
    public async Task<long> ChangeMarket(Match match, string marketId, Func<Market, Market> change)
    {
        long sequence;
        Task sent;
        // SignalR keeps the order in which sends are begun, so it is enough to begin them under the lock:
        // a slow reader then delays this caller but neither other matches nor who reads the state.
        lock (match.Gate)
        {
            sequence = Interlocked.Increment(ref _sequence);
            var changed = change(match.State.Market(marketId)!);
            match.State = match.State.With(changed);
            match.Record(sequence);
            sent = Push(Group(match.State.MatchId), nameof(OddsChanged), new OddsChanged(
                match.State.MatchId, changed.MarketId, changed.Name, changed.Suspended, changed.Selections, sequence));
        }
        await sent;
        return sequence;
    }

    /// <summary>Changes score, phase or clock and pushes them to the match's group.</summary>
    public async Task ChangeScore(Match match, ScoreReason reason, Func<MatchState, MatchState> change)
    {
        Task sent;
        lock (match.Gate)
        {
            var state = match.State = change(match.State);
            sent = Push(Group(state.MatchId), nameof(ScoreChanged), new ScoreChanged(
                state.MatchId, state.Phase, state.Minute, state.Home, state.Away, reason));
        }
        await sent;
    }

    /// <returns>The id of the announcement.</returns>
    public async Task<long> Announce(string text)
    {
        var id = Interlocked.Increment(ref _announcements);
        await Push(null, nameof(Announcement), new Announcement(id, text));
        return id;
    }

    /// <param name="group">Everybody when null.</param>
    public Task Push(string? group, string target, params object?[] args)
    {
        stats.Pushed(target);
        return (group is null ? hub.Clients.All : hub.Clients.Group(group)).SendCoreAsync(target, args);
    }
}

/// <summary>One match: its newest state, and the sequences of its odds.</summary>
sealed class Match(MatchState state)
{
    const int LogSize = 100_000;

    readonly Queue<long> _log = [];
    volatile MatchState _state = state;

    /// <summary>Held while the state changes. Reading it needs no lock: a state is never changed, only replaced.</summary>
    public Lock Gate { get; } = new();

    public MatchState State { get => _state; set => _state = value; }

    /// <summary>The sequences of the last 100,000 OddsChanged, in the order of their pushes.</summary>
    public long[] Log { get { lock (Gate) return [.. _log]; } }

    /// <summary>To be called with the gate held.</summary>
    public void Record(long sequence)
    {
        if (_log.Count == LogSize)
        {
            _log.Dequeue();
        }
        _log.Enqueue(sequence);
    }
}
