using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.SignalR;

namespace Origin;

/// <summary>One method for each thing a hub can do, for tests that compare a relay with the hub itself.</summary>
class ProbeHub : Hub
{
    const int MaxBig = 10_000_000;

    /// <summary>Fails when the query of the connection has <c>fail=connect</c>.</summary>
    public override Task OnConnectedAsync() => FailOn("connect");

    /// <summary>Fails when the query of the connection has <c>fail=disconnect</c>.</summary>
    public override Task OnDisconnectedAsync(Exception? exception) => FailOn("disconnect");

    public string? Echo(string? text) => text;

    public JsonElement EchoJson(JsonElement value) => value;

    public int Add(int a, int b) => a + b;

    public void Void() { }

    public void Fail() => throw new HubException("hub boom");

    public void Crash() => throw new InvalidOperationException("ex boom");

    [Authorize]
    public void Restricted() { }

    /// <summary>A number that JSON cannot say.</summary>
    public double NotANumber() => double.NaN;

    /// <summary>Answers with <paramref name="ms"/> after that time.</summary>
    public async Task<int> Slow(int ms)
    {
        await Task.Delay(ms, Context.ConnectionAborted);
        return ms;
    }

    /// <summary>A string of that many <c>x</c>.</summary>
    public string Big(int length) => length is >= 0 and <= MaxBig
        ? new('x', length)
        : throw new HubException($"Length must be between 0 and {MaxBig}: {length}");

    /// <summary>Streams 0 to <paramref name="count"/> - 1, with a pause before each but the first.</summary>
    public async IAsyncEnumerable<int> Count(int count, int delayMs, [EnumeratorCancellation] CancellationToken cancellation)
    {
        for (var i = 0; i < count; i++)
        {
            if (i > 0 && delayMs > 0)
            {
                await Task.Delay(delayMs, cancellation);
            }
            yield return i;
        }
    }

    /// <summary>Streams 0, then fails.</summary>
    public async IAsyncEnumerable<int> FailingStream()
    {
        yield return 0;
        await Task.Yield();
        throw new InvalidOperationException("ex boom");
    }

    /// <summary>Adds up what the client streams.</summary>
    public async Task<int> Sum(ChannelReader<int> numbers)
    {
        var sum = 0;
        await foreach (var number in numbers.ReadAllAsync(Context.ConnectionAborted))
        {
            sum += number;
        }
        return sum;
    }

    /// <summary>Asks the caller <c>Ask("q")</c> and answers with what it says.</summary>
    public Task<string> AskCaller() => Clients.Caller.InvokeAsync<string>("Ask", "q", Context.ConnectionAborted);

    public Task PushMe(string target, JsonElement[] args) => Clients.Caller.SendCoreAsync(target, Box(args));

    /// <summary>Pushes to all connections of this hub, whatever their path, but those named.</summary>
    public Task PushOthers(string[] connectionIds, string target, JsonElement[] args) =>
        Clients.AllExcept(connectionIds).SendCoreAsync(target, Box(args));

    public void Abort() => Context.Abort();

    /// <summary>What reached the hub of the request that made this connection.</summary>
    public object WhoAmI()
    {
        var request = Context.GetHttpContext()!.Request;
        return new
        {
            Context.ConnectionId,
            Context.UserIdentifier,
            UserAgent = request.Headers.UserAgent.ToString(),
            Headers = request.Headers.ToDictionary(
                header => header.Key.ToLowerInvariant(), header => header.Value.ToString()),
            Query = request.Query.ToDictionary(field => field.Key, field => field.Value.ToString()),
            Cookies = request.Cookies.ToDictionary(),
        };
    }

    Task FailOn(string moment) => Context.GetHttpContext()!.Request.Query["fail"] == moment
        ? throw new InvalidOperationException($"{moment} boom")
        : Task.CompletedTask;

    static object?[] Box(JsonElement[] args) => [.. args];
}

/// <summary>The same under a type of its own, because detailed errors are an option of the hub's type.</summary>
sealed class DetailedHub : ProbeHub;

/// <summary>The same again, because the hub protocols are an option of the hub's type, too.</summary>
sealed class BinaryHub : ProbeHub;
