using System.Collections.Concurrent;
using Microsoft.AspNetCore.SignalR;

namespace Origin;

/// <summary>One open connection of any hub.</summary>
/// <param name="Path">The path the hub is mapped to, such as <c>/hubs/live</c>.</param>
/// <param name="Client">Calls this client, also with a result, from outside of a hub method.</param>
sealed record Connection(string Path, HubCallerContext Context, ISingleClientProxy Client);

/// <summary>Remembers the open connections of all hubs, so that a test can see, cut and question them.</summary>
sealed class Connections : IHubFilter
{
    readonly ConcurrentDictionary<string, Connection> _open = [];

    public IEnumerable<Connection> All => _open.Values;

    public Connection? Find(string connectionId) => _open.GetValueOrDefault(connectionId);

    public Task OnConnectedAsync(HubLifetimeContext context, Func<HubLifetimeContext, Task> next)
    {
        // Hub.Clients refuses client results while the connection opens; the context of the hub never does.
        var hubType = typeof(IHubContext<>).MakeGenericType(context.Hub.GetType());
        var hub = (IHubContext)context.ServiceProvider.GetRequiredService(hubType);
        var endpoint = (RouteEndpoint)context.Context.GetHttpContext()!.GetEndpoint()!;
        var id = context.Context.ConnectionId;
        _open[id] = new(endpoint.RoutePattern.RawText!, context.Context, hub.Clients.Client(id));
        return next(context);
    }

    public Task OnDisconnectedAsync(
        HubLifetimeContext context, Exception? exception, Func<HubLifetimeContext, Exception?, Task> next)
    {
        _open.TryRemove(context.Context.ConnectionId, out _);
        return next(context, exception);
    }
}
