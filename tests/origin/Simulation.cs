namespace Origin;

/// <summary>Plays all matches at <see cref="Options.Speed"/>. Same seed, same course of events.</summary>
sealed class Simulation(Board board, Options options) : BackgroundService
{
    const int StepSeconds = 10;
    const int StepsPerMatch = 90 * 60 / StepSeconds;
    const int StepsPerAnnouncement = 60;

    const double GoalChance = 2.7 / StepsPerMatch;
    const double CardChance = 4.0 / StepsPerMatch;
    const double OddsChance = 0.3;

    /// <summary>How long no bet is taken after a goal, in simulated seconds.</summary>
    const int SuspensionSeconds = 60;

    readonly Random _random = new(options.Seed);
    readonly Fixture[] _fixtures = [.. Enumerable.Range(1, Board.MatchCount).Select(id => new Fixture(id))];
    readonly Dictionary<Match, int> _reopenAt = [];
    readonly Tennis _tennis = new("Castellane", "Ohlsson");

    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        if (options.Speed == 0)
        {
            return;
        }
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(StepSeconds / options.Speed));
        for (var step = 1; await timer.WaitForNextTickAsync(stopping); step++)
        {
            for (var i = 0; i < _fixtures.Length; i++)
            {
                await Play(_fixtures[i], board.Find(i + 1)!);
            }
            var (kind, text) = _tennis.Play(_random);
            board.Tickers["tennis"].Write(kind, text);
            if (step % StepsPerAnnouncement == 0)
            {
                await board.Announce($"{_fixtures.Count(fixture => fixture.IsPlaying)} matches are being played");
            }
        }
    }

    async Task Play(Fixture fixture, Match match)
    {
        var (phase, minute) = (fixture.Phase, fixture.PlayedMinutes);
        fixture.Advance(StepSeconds);
        if (fixture.Phase != phase)
        {
            await Whistle(fixture, match);
        }
        else if (fixture.IsPlaying)
        {
            if (fixture.PlayedMinutes != minute)
            {
                await board.ChangeScore(match, ScoreReason.Minute, state => state with { Minute = fixture.PlayedMinutes });
            }
            await Happen(fixture, match);
        }
    }

    async Task Whistle(Fixture fixture, Match match)
    {
        var fresh = fixture.State;
        await board.ChangeScore(match, ScoreReason.Phase, state => fixture.Phase == Phase.Scheduled
            ? state with { Phase = fresh.Phase, Minute = fresh.Minute, Home = fresh.Home, Away = fresh.Away }
            : state with { Phase = fresh.Phase, Minute = fresh.Minute });
        Tell(match, TickerKind.Phase, fixture.Phase switch
        {
            Phase.Scheduled => "Next match soon",
            Phase.FirstHalf => "Kick-off",
            Phase.HalfTime => "Half-time",
            Phase.SecondHalf => "Second half",
            _ => "Full time",
        });
        if (fixture.Phase == Phase.FullTime)
        {
            await Suspend(match);
        }
        else
        {
            await Reopen(fixture, match);
        }
    }

    async Task Happen(Fixture fixture, Match match)
    {
        switch (_random.NextDouble())
        {
            case < GoalChance:
                await Goal(fixture, match);
                break;
            case < GoalChance + CardChance:
                await Card(match);
                break;
            case < GoalChance + CardChance + OddsChance when !_reopenAt.ContainsKey(match):
                await Reprice(fixture, match, match.State.Markets[_random.Next(match.State.Markets.Length)].MarketId);
                break;
        }
        if (_reopenAt.TryGetValue(match, out var at) && fixture.Clock >= at)
        {
            await Reopen(fixture, match);
        }
    }

    async Task Goal(Fixture fixture, Match match)
    {
        _reopenAt[match] = fixture.Clock + SuspensionSeconds;
        await Suspend(match);
        var byHome = _random.NextDouble() * (fixture.HomeRate + fixture.AwayRate) < fixture.HomeRate;
        await board.ChangeScore(match, ScoreReason.Goal, state => byHome
            ? state with { Home = state.Home with { Goals = state.Home.Goals + 1 } }
            : state with { Away = state.Away with { Goals = state.Away.Goals + 1 } });
        Tell(match, TickerKind.Goal, $"Goal for {(byHome ? match.State.Home : match.State.Away).Name}");
    }

    async Task Card(Match match)
    {
        var (toHome, isRed) = (_random.Next(2) == 0, _random.Next(20) == 0);
        TeamState Show(TeamState team) => isRed
            ? team with { Red = team.Red + 1 }
            : team with { Yellow = team.Yellow + 1 };
        await board.ChangeScore(match, ScoreReason.Card, state => toHome
            ? state with { Home = Show(state.Home) }
            : state with { Away = Show(state.Away) });
        var team = toHome ? match.State.Home : match.State.Away;
        Tell(match, TickerKind.Card, $"{(isRed ? "Red" : "Yellow")} card for {team.Name}");
    }

    async Task Suspend(Match match)
    {
        foreach (var market in match.State.Markets)
        {
            await board.ChangeMarket(match, market.MarketId, market => market with { Suspended = true });
        }
    }

    async Task Reopen(Fixture fixture, Match match)
    {
        _reopenAt.Remove(match);
        foreach (var market in match.State.Markets)
        {
            await Reprice(fixture, match, market.MarketId);
        }
    }

    /// <summary>Prices one market anew, with a little noise; it is open then.</summary>
    Task Reprice(Fixture fixture, Match match, string marketId)
    {
        var markets = Book.Markets(
            match.State.Home, match.State.Away, match.State.Minute, Noisy(fixture.HomeRate), Noisy(fixture.AwayRate));
        return board.ChangeMarket(match, marketId, _ => Array.Find(markets, market => market.MarketId == marketId)!);
    }

    double Noisy(double rate) => rate * (0.96 + 0.08 * _random.NextDouble());

    void Tell(Match match, TickerKind kind, string text)
    {
        var (home, away) = (match.State.Home, match.State.Away);
        var score = $"{home.Name} {home.Goals}-{away.Goals} {away.Name}";
        board.Tickers["football"].Write(kind, $"{text}: {score}, {match.State.Minute}'");
    }
}
