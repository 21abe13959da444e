using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.AspNetCore.Http.Connections;
using Microsoft.AspNetCore.SignalR;

namespace Origin;

/// <summary>What a test does to the origin, and asks it, over plain HTTP; <c>Program.cs</c> lists the requests.</summary>
static class Control
{
    const int MaxCount = 1_000_000;

    sealed record RawPush(string Target, JsonElement[] Args, string? Group);

    public static void MapControl(this IEndpointRouteBuilder app)
    {
        var control = app.MapGroup("/control");

        control.MapPost("/publish", async (
            Board board,
            CancellationToken cancellation,
            int match,
            int count = 1,
            int intervalMs = 0,
            string market = "1x2") =>
        {
            if (board.Find(match) is not { } found || found.State.Market(market) is null)
            {
                return Results.NotFound($"No market {market} of match {match}");
            }
            if (count is < 1 or > MaxCount || intervalMs < 0)
            {
                return Results.BadRequest($"count must be between 1 and {MaxCount}, and intervalMs 0 or more");
            }
            var first = await board.ChangeMarket(found, market, Book.Nudge);
            var last = first;
            for (var i = 1; i < count; i++)
            {
                if (intervalMs > 0)
                {
                    await Task.Delay(intervalMs, cancellation);
                }
                last = await board.ChangeMarket(found, market, Book.Nudge);
            }
            return Results.Ok(new { first, last });
        });

        control.MapPost("/announce", async (Board board, string text) => new { id = await board.Announce(text) });

        control.MapPost("/raw", (Board board, RawPush push) => board.Push(push.Group, push.Target, [.. push.Args]));

        control.MapPost("/ticker", (Board board, string sport, string text) =>
        {
            if (!board.Tickers.TryGetValue(sport, out var ticker))
            {
                return Results.NotFound($"No sport {sport}");
            }
            ticker.Write(TickerKind.Point, text);
            return Results.Ok();
        });

        control.MapDelete("/ticker", (Board board, string sport) =>
        {
            if (!board.Tickers.TryGetValue(sport, out var ticker))
            {
                return Results.NotFound($"No sport {sport}");
            }
            ticker.End();
            return Results.Ok();
        });

        control.MapPost("/ask", async (Connections connections, string connectionId, int timeoutMs = 5_000) =>
        {
            if (connections.Find(connectionId) is not { } connection)
            {
                return Results.NotFound($"No connection {connectionId}");
            }
            using var timeout = new CancellationTokenSource(timeoutMs);
            try
            {
                return Results.Ok(new { answer = await connection.Client.InvokeAsync<string>("Ask", "q", timeout.Token) });
            }
            catch (Exception error)
            {
                return Results.Ok(new { error = error.Message });
            }
        });

        control.MapPost("/abort", (Connections connections, string? connectionId, string? hub, bool hard = false) =>
        {
            var chosen = connections.All
                .Where(connection => connectionId is null || connection.Context.ConnectionId == connectionId)
                .Where(connection => hub is null || connection.Path == hub)
                .ToList();
            foreach (var connection in chosen)
            {
                if (hard)
                {
                    connection.Context.GetHttpContext()!.Abort();
                }
                else
                {
                    connection.Context.Abort();
                }
            }
            return new { aborted = chosen.Count };
        });

        control.MapGet("/connections", (Connections connections) => connections.All.Select(connection => new
        {
            connection.Context.ConnectionId,
            Hub = connection.Path,
            User = connection.Context.UserIdentifier,
        }));

        control.MapGet("/stats", (Stats stats) => stats.Snapshot());

        control.MapGet("/log", (Board board, int match) => board.Find(match) is { } found
            ? Results.Ok(found.Log)
            : Results.NotFound($"No match {match}"));

        control.MapGet("/negotiates", (Negotiates negotiates) => negotiates);

        control.MapPost("/token", (Tokens tokens, string name, string user) => { tokens[name] = user; });

        control.MapDelete("/token", (Tokens tokens, string name) => { tokens.TryRemove(name, out _); });
    }
}

/// <summary>Negotiate requests by the path of their hub, refused ones too.</summary>
sealed class Negotiates : ConcurrentDictionary<string, long>
{
    const string Suffix = "/negotiate";

    public void Observe(HttpContext context)
    {
        if (context.GetEndpoint() is RouteEndpoint endpoint
            && endpoint.Metadata.GetMetadata<NegotiateMetadata>() is not null
            && HttpMethods.IsPost(context.Request.Method))
        {
            AddOrUpdate(endpoint.RoutePattern.RawText![..^Suffix.Length], 1, (_, count) => count + 1);
        }
    }
}
