// One life of the official .NET client, and what it saw of it: the counterpart of tests/support/matrix-client.mjs, with
// the same cell as its argument and the same fields in what it prints. It asserts nothing.

using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Client;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.SignalR.Client;

var cell = JsonSerializer.Deserialize<Cell>(args[0], JsonSerializerOptions.Web)!;
using var http = new HttpClient();
var seen = new JsonObject();
try
{
    await ObserveShared();
    await ObservePrivate();
    await ObserveClose();
}
catch (Exception error)
{
    seen["error"] = error.ToString();
}
Console.WriteLine($"seen {seen.ToJsonString()}");

HubConnection Connect(string url, bool reconnect = false)
{
    var builder = new HubConnectionBuilder();
    builder.Services.AddSingleton<IConnectionFactory>(new WebSocketFactory(http));
    builder.Services.AddSingleton<EndPoint>(new UriEndPoint(new Uri(url)));
    if (reconnect)
    {
        builder.WithAutomaticReconnect([TimeSpan.Zero, TimeSpan.Zero, TimeSpan.FromMilliseconds(200)]);
    }
    return builder.Build();
}

// What is declared, and served to all from one connection.
async Task ObserveShared()
{
    await using var watcher = Connect(cell.Live);
    var pushes = Channel.CreateUnbounded<JsonElement>();
    watcher.On<JsonElement>("OddsChanged", push => pushes.Writer.TryWrite(push));
    await watcher.StartAsync();
    seen["join"] = Node(await watcher.InvokeAsync<object?>("JoinMatch", cell.Match));
    (await http.PostAsync(cell.Publish, null)).EnsureSuccessStatusCode();
    var heard = new JsonArray();
    while (heard.Count < cell.Pushes)
    {
        heard.Add(new JsonArray(Node(await pushes.Reader.ReadAsync().AsTask().WaitAsync(Patience))));
    }
    seen["leave"] = Node(await watcher.InvokeAsync<object?>("LeaveMatch", cell.Match));
    seen["pushes"] = heard;

    await using var reader = Connect(cell.Probe);
    await reader.StartAsync();
    seen["sharedStream"] = await ItemsOf(reader.StreamAsync<int>("Count", cell.Shared[0], cell.Shared[1]));
}

// What goes over a connection to the origin of this client's own.
async Task ObservePrivate()
{
    await using var caller = Connect(cell.Probe);
    var asked = new TaskCompletionSource<string>();
    var pushed = new TaskCompletionSource<JsonArray>();
    var closed = new TaskCompletionSource<Exception?>();
    caller.On("Ask", (string question) =>
    {
        asked.TrySetResult(question);
        return $"{question}?";
    });
    caller.On("Note", (int number, string text) => { pushed.TrySetResult([number, text]); });
    caller.Closed += error =>
    {
        closed.TrySetResult(error);
        return Task.CompletedTask;
    };
    await caller.StartAsync();
    seen["connectionId"] = caller.ConnectionId;
    seen["unknown"] = await TextOfRefusal(caller.InvokeAsync("NoSuchMethod", 1));
    seen["failed"] = await TextOfRefusal(caller.InvokeAsync("Fail"));
    seen["result"] = Node(await caller.InvokeAsync<JsonElement>("EchoJson", cell.Value));
    seen["stream"] = await ItemsOf(caller.StreamAsync<int>("Count", 4, 1));
    seen["upload"] = await caller.InvokeAsync<int>("Sum", Numbers());
    seen["clientResult"] = await caller.InvokeAsync<string>("AskCaller");
    seen["asked"] = await asked.Task.WaitAsync(Patience);
    await caller.InvokeAsync("PushMe", "Note", new object[] { 1, "two" });
    seen["pushed"] = await pushed.Task.WaitAsync(Patience);

    var items = new JsonArray();
    using var cancelling = new CancellationTokenSource();
    try
    {
        await foreach (var item in caller.StreamAsync<int>("Count", 1_000_000, 2, cancelling.Token))
        {
            items.Add(item);
            if (items.Count == 3)
            {
                cancelling.Cancel();
            }
        }
    }
    catch (OperationCanceledException)
    {
    }
    // What was under way when it was cancelled is here before the second answer.
    await caller.InvokeAsync<string>("Echo", "a");
    await caller.InvokeAsync<string>("Echo", "b");
    seen["cancelled"] = items;

    await caller.StopAsync();
    seen["stopped"] = new JsonArray(TextOf(await closed.Task.WaitAsync(Patience)), caller.State.ToString());
}

// How a connection ends that the client does not end itself.
async Task ObserveClose()
{
    await using var client = Connect(cell.Probe, reconnect: true);
    var events = new JsonArray();
    var back = new TaskCompletionSource<string?>();
    var gone = new TaskCompletionSource<Exception?>();
    client.Reconnecting += error =>
    {
        events.Add("reconnecting");
        return Task.CompletedTask;
    };
    client.Reconnected += id =>
    {
        events.Add("reconnected");
        back.TrySetResult(id);
        return Task.CompletedTask;
    };
    client.Closed += error =>
    {
        events.Add("closed");
        gone.TrySetResult(error);
        return Task.CompletedTask;
    };
    await client.StartAsync();
    var first = client.ConnectionId;
    // More than a message may have: answered with a Close that invites to come back.
    await client.SendAsync("Echo", new string('x', 40_000));
    var second = await back.Task.WaitAsync(Patience);
    seen["reconnected"] = new JsonObject
    {
        ["isAnother"] = second is not null && second != first,
        ["echo"] = await client.InvokeAsync<string>("Echo", "back"),
    };
    await client.SendAsync("Abort");
    seen["closed"] = TextOf(await gone.Task.WaitAsync(Patience));
    seen["events"] = events;
}

static async IAsyncEnumerable<int> Numbers()
{
    foreach (var number in new[] { 1, 2, 3, 4 })
    {
        await Task.Yield();
        yield return number;
    }
}

static async Task<JsonArray> ItemsOf(IAsyncEnumerable<int> stream)
{
    var items = new JsonArray();
    await foreach (var item in stream)
    {
        items.Add(item);
    }
    return items;
}

static async Task<string> TextOfRefusal(Task work)
{
    try
    {
        await work;
        return "not refused";
    }
    catch (Exception error)
    {
        return error.Message;
    }
}

static string TextOf(Exception? error) => error?.Message ?? "";

static JsonNode? Node(object? value) => JsonSerializer.SerializeToNode(value, JsonSerializerOptions.Web);

/// <summary>The fields are those of <c>Cell</c> in tests/support/matrix.ts.</summary>
sealed record Cell(string Live, string Probe, int Match, string Publish, int Pushes, int[] Shared, JsonElement Value);

partial class Program
{
    /// <summary>How long a thing may take that happens at once.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
}
