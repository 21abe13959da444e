namespace Origin;

/// <summary>The command line; <c>Program.cs</c> describes it.</summary>
sealed class Options
{
    public int Port { get; private set; } = 5000;
    public int Seed { get; private set; } = 1;

    /// <summary>Simulated seconds per real second, 0.01 to 10,000; 0 when the simulation is paused.</summary>
    public double Speed { get; private set; } = 60;

    /// <summary>Users by token.</summary>
    public Dictionary<string, string> Tokens { get; } = [];

    /// <summary>SignalR's timers that shall not be the default ones, by their names.</summary>
    public Dictionary<string, TimeSpan> Timers { get; } = [];

    /// <exception cref="FormatException">An option is unknown, or its value missing or out of range.</exception>
    public static Options Parse(string[] args)
    {
        var options = new Options();
        foreach (var pair in args.Chunk(2))
        {
            switch (pair)
            {
                case ["--port", var text] when ushort.TryParse(text, out var port):
                    options.Port = port;
                    break;
                case ["--seed", var text] when int.TryParse(text, out var seed):
                    options.Seed = seed;
                    break;
                case ["--speed", var text] when double.TryParse(text, out var speed) && IsSpeed(speed):
                    options.Speed = speed;
                    break;
                case ["--token", var text] when text.Split(':') is [{ Length: > 0 } token, { Length: > 0 } user]:
                    options.Tokens[token] = user;
                    break;
                case ["--timer", var text] when text.Split(':') is [var name, var ms]
                    && s_timers.Contains(name) && uint.TryParse(ms, out var duration):
                    options.Timers[name] = TimeSpan.FromMilliseconds(duration);
                    break;
                default:
                    throw new FormatException($"Cannot read option: {string.Join(' ', pair)}");
            }
        }
        return options;
    }

    static readonly HashSet<string> s_timers = ["handshake", "keepAlive", "client", "poll", "disconnect", "close"];

    static bool IsSpeed(double speed) => speed is 0 or (>= 0.01 and <= 10_000);
}
