namespace Origin;

/// <summary>Prices of the three markets: goals to come are Poisson, and the bookmaker keeps 6 %.</summary>
static class Book
{
    const double Margin = 1.06;
    const int MaxGoals = 10;

    /// <param name="homeRate">Expected home goals of a whole match.</param>
    /// <param name="awayRate">Expected away goals of a whole match.</param>
    public static Market[] Markets(TeamState home, TeamState away, int minute, double homeRate, double awayRate)
    {
        var left = (90 - minute) / 90.0;
        var rate = (homeRate + awayRate) * left;
        var (homeWins, draws) = Results(home.Goals - away.Goals, homeRate * left, awayRate * left);

        // The first line that is still open, 2.5 at least.
        var goals = home.Goals + away.Goals;
        var needed = Math.Max(3 - goals, 1);
        var under = Enumerable.Range(0, needed).Sum(count => Poisson(count, rate));

        var none = Math.Exp(-rate);
        var homeShare = homeRate / (homeRate + awayRate);
        return
        [
            new("1x2", "Match result", false,
            [
                new("home", home.Name, Price(homeWins)),
                new("draw", "Draw", Price(draws)),
                new("away", away.Name, Price(1 - homeWins - draws)),
            ]),
            new("over-under", $"Over/under {goals + needed - 1}.5", false,
            [
                new("over", "Over", Price(1 - under)),
                new("under", "Under", Price(under)),
            ]),
            new("next-goal", "Next goal", false,
            [
                new("home", home.Name, Price((1 - none) * homeShare)),
                new("none", "No goal", Price(none)),
                new("away", away.Name, Price((1 - none) * (1 - homeShare))),
            ]),
        ];
    }

    public static Market? Market(this MatchState state, string marketId) =>
        Array.Find(state.Markets, market => market.MarketId == marketId);

    public static MatchState With(this MatchState state, Market changed) => state with
    {
        Markets = [.. state.Markets.Select(market => market.MarketId == changed.MarketId ? changed : market)],
    };

    /// <summary>The market with its first price one step on: another one each time, and always a plausible one.</summary>
    public static Market Nudge(this Market market)
    {
        var first = market.Selections[0];
        var price = first.Price < 20 ? first.Price + 0.01m : 1.01m;
        return market with { Selections = [first with { Price = price }, .. market.Selections[1..]] };
    }

    static (double HomeWins, double Draws) Results(int lead, double homeRate, double awayRate)
    {
        var (homeWins, draws) = (0.0, 0.0);
        for (var home = 0; home <= MaxGoals; home++)
        {
            for (var away = 0; away <= MaxGoals; away++)
            {
                var chance = Poisson(home, homeRate) * Poisson(away, awayRate);
                switch (lead + home - away)
                {
                    case > 0: homeWins += chance; break;
                    case 0: draws += chance; break;
                }
            }
        }
        return (homeWins, draws);
    }

    static double Poisson(int count, double rate)
    {
        var chance = Math.Exp(-rate);
        for (var i = 1; i <= count; i++)
        {
            chance *= rate / i;
        }
        return chance;
    }

    static decimal Price(double chance) =>
        decimal.Round((decimal)Math.Clamp(1 / (Margin * Math.Max(chance, 0)), 1.01, 201), 2);
}
