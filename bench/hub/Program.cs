// The thing users have today: an ASP.NET Core hub that pushes each line of a feed to the group of its match.
//
//   dotnet Hub.dll FEED_PORT
//
// It listens on a free port of 127.0.0.1, and prints "hub listening on http://127.0.0.1:<port>" when it is ready.

using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Microsoft.AspNetCore.SignalR;

var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
builder.Logging.SetMinimumLevel(LogLevel.Warning);
builder.Services.AddSignalR();

var app = builder.Build();
app.MapHub<LiveHub>("/hubs/live");
await app.StartAsync();

using var feed = new TcpClient();
await feed.ConnectAsync(IPAddress.Loopback, int.Parse(args[0]));
Console.WriteLine($"hub listening on {app.Urls.Single()}");

var hub = app.Services.GetRequiredService<IHubContext<LiveHub>>();
using var lines = new StreamReader(feed.GetStream());
while (await lines.ReadLineAsync() is { } line)
{
    var odds = JsonSerializer.Deserialize<OddsChanged>(line, JsonSerializerOptions.Web)!;
    await hub.Clients.Group(LiveHub.Group(odds.MatchId)).SendAsync("OddsChanged", odds);
}

sealed class LiveHub : Hub
{
    public static string Group(int match) => $"match-{match}";

    public Task JoinMatch(int id) => Groups.AddToGroupAsync(Context.ConnectionId, Group(id));

    public Task LeaveMatch(int id) => Groups.RemoveFromGroupAsync(Context.ConnectionId, Group(id));
}

sealed record Selection(string Id, double Price);

sealed record OddsChanged(int MatchId, string MarketId, string Name, bool Suspended, Selection[] Selections, string Mark);
