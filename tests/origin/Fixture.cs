namespace Origin;

/// <summary>The pairing behind a match id: who plays, how strong they are, and how far the clock is.</summary>
/// <remarks>A match takes two hours of simulated time, then the same teams meet again. Ids are five minutes apart.</remarks>
sealed class Fixture(int id)
{
    const int Minute = 60;
    const int Kickoff = -5 * Minute;

    static readonly string[] Cities =
    [
        "Aarhus", "Antwerp", "Bari", "Basel", "Bergen", "Bilbao", "Bologna", "Bremen", "Brno", "Cardiff",
        "Cork", "Dresden", "Espoo", "Faro", "Gdansk", "Genoa", "Ghent", "Graz", "Kaunas", "Leeds",
        "Leipzig", "Lille", "Linz", "Lyon", "Malaga", "Malmo", "Nantes", "Odense", "Oslo", "Ostrava",
        "Palermo", "Patras", "Poznan", "Riga", "Rouen", "Split", "Tampere", "Trieste", "Turku", "Vigo",
    ];

    /// <summary>Simulated seconds since the match was due to begin; its half-time lasts 15 minutes.</summary>
    public int Clock { get; private set; } = Kickoff + (id - 1) * 5 * Minute;

    public Phase Phase => (Clock / (double)Minute) switch
    {
        < 0 => Phase.Scheduled,
        < 45 => Phase.FirstHalf,
        < 60 => Phase.HalfTime,
        < 105 => Phase.SecondHalf,
        _ => Phase.FullTime,
    };

    public int PlayedMinutes => Phase switch
    {
        Phase.Scheduled => 0,
        Phase.FirstHalf => Clock / Minute,
        Phase.HalfTime => 45,
        Phase.SecondHalf => Clock / Minute - 15,
        _ => 90,
    };

    public bool IsPlaying => Phase is Phase.FirstHalf or Phase.SecondHalf;

    /// <summary>Expected goals of a whole match.</summary>
    public double HomeRate => 1.1 + id % 7 * 0.12;

    /// <inheritdoc cref="HomeRate"/>
    public double AwayRate => 0.8 + id % 5 * 0.15;

    /// <summary>The state at this clock as long as nothing has happened.</summary>
    public MatchState State
    {
        get
        {
            var (home, away) = (new TeamState(Cities[2 * id - 2]), new TeamState(Cities[2 * id - 1]));
            return new(
                id, Phase, PlayedMinutes, home, away,
                id % 2 == 0 ? "Harbour Cup" : "Continental League",
                Book.Markets(home, away, PlayedMinutes, HomeRate, AwayRate));
        }
    }

    /// <summary>Lets time pass; after full time a new match is due.</summary>
    public void Advance(int seconds)
    {
        Clock += seconds;
        if (Clock >= 120 * Minute)
        {
            Clock = Kickoff;
        }
    }
}
