namespace Origin;

/// <summary>A tennis match that never ends: each call plays a point, which may be the last of a game or set.</summary>
sealed class Tennis(params string[] players)
{
    readonly int[] _points = [0, 0], _games = [0, 0], _sets = [0, 0];

    public (TickerKind Kind, string Text) Play(Random random)
    {
        var winner = random.Next(2);
        var kind = !Wins(_points, winner, 4) ? TickerKind.Point
            : !Wins(_games, winner, 6) ? TickerKind.Game
            : TickerKind.Set;
        if (kind == TickerKind.Set)
        {
            _sets[winner]++;
        }
        var (name, score) = kind switch
        {
            TickerKind.Point => ("Point", _points),
            TickerKind.Game => ("Game", _games),
            _ => ("Set", _sets),
        };
        return (kind, $"{name} {players[winner]}: {players[0]} {score[0]}-{score[1]} {players[1]}");
    }

    /// <summary>Adds one; with <paramref name="enough"/> and two ahead it is won, and both begin at nought again.</summary>
    static bool Wins(int[] score, int winner, int enough)
    {
        score[winner]++;
        var won = score[winner] >= enough && score[winner] - score[1 - winner] >= 2;
        if (won)
        {
            Array.Clear(score);
        }
        return won;
    }
}
