using Microsoft.AspNetCore.SignalR;

namespace Origin;

/// <summary>Counts what the live hub sees, over all paths it is mapped to; as a filter, its connections and calls.</summary>
sealed class Stats : IHubFilter
{
    readonly Lock _gate = new();
    readonly SortedDictionary<int, long> _joins = [];
    readonly SortedDictionary<string, long> _calls = [];
    readonly SortedDictionary<string, long> _pushes = [];
    long _connections, _connectionsTotal, _leavesTotal, _streams;

    public HubStats Snapshot()
    {
        lock (_gate)
        {
            return new(
                _connections,
                _connectionsTotal,
                _joins.ToDictionary(join => $"{join.Key}", join => join.Value),
                _joins.Values.Sum(),
                _leavesTotal,
                _calls.ToDictionary(),
                _streams,
                _pushes.ToDictionary());
        }
    }

    public void Joined(int matchId) { lock (_gate) Increment(_joins, matchId); }

    public void Left() { lock (_gate) _leavesTotal++; }

    public void Pushed(string target) { lock (_gate) Increment(_pushes, target); }

    public void StreamOpened() { lock (_gate) _streams++; }

    public void StreamClosed() { lock (_gate) _streams--; }

    public Task OnConnectedAsync(HubLifetimeContext context, Func<HubLifetimeContext, Task> next)
    {
        lock (_gate)
        {
            _connections++;
            _connectionsTotal++;
        }
        return next(context);
    }

    public Task OnDisconnectedAsync(
        HubLifetimeContext context, Exception? exception, Func<HubLifetimeContext, Exception?, Task> next)
    {
        lock (_gate) _connections--;
        return next(context, exception);
    }

    public ValueTask<object?> InvokeMethodAsync(
        HubInvocationContext context, Func<HubInvocationContext, ValueTask<object?>> next)
    {
        lock (_gate) Increment(_calls, context.HubMethodName);
        return next(context);
    }

    static void Increment<TKey>(SortedDictionary<TKey, long> counts, TKey key) where TKey : notnull =>
        counts[key] = counts.GetValueOrDefault(key) + 1;
}
