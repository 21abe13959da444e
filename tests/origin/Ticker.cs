using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace Origin;

/// <summary>The ticker of one sport: each line goes to whoever reads at that time.</summary>
sealed class Ticker(string sport, Stats stats)
{
    // Per reader. Who lags further behind loses the oldest lines and can see it by their ids.
    const int Capacity = 1_000;

    readonly Lock _gate = new();
    readonly HashSet<Channel<TickerItem>> _readers = [];
    long _lastId;

    public void Write(TickerKind kind, string text)
    {
        lock (_gate)
        {
            var item = new TickerItem(++_lastId, sport, kind, text);
            foreach (var reader in _readers)
            {
                reader.Writer.TryWrite(item);
            }
        }
    }

    /// <summary>Ends the streams that run now.</summary>
    public void End()
    {
        lock (_gate)
        {
            foreach (var reader in _readers)
            {
                reader.Writer.TryComplete();
            }
        }
    }

    public async IAsyncEnumerable<TickerItem> Read([EnumeratorCancellation] CancellationToken cancellation)
    {
        var channel = Channel.CreateBounded<TickerItem>(
            new BoundedChannelOptions(Capacity) { FullMode = BoundedChannelFullMode.DropOldest });
        lock (_gate) _readers.Add(channel);
        stats.StreamOpened();
        try
        {
            await foreach (var item in channel.Reader.ReadAllAsync(cancellation))
            {
                yield return item;
            }
        }
        finally
        {
            lock (_gate) _readers.Remove(channel);
            stats.StreamClosed();
        }
    }
}
