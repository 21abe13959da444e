// The real SignalR origin of the tests: ASP.NET Core hubs, a simulation that feeds them, and a way to control both.
//
//   dotnet run --project tests/origin -- --port 5000
//   dotnet build tests/origin -c Release -o <dir> && dotnet <dir>/Origin.dll --port 0
//
// It listens on 127.0.0.1 only, prints "origin listening on http://127.0.0.1:<port>" when it is ready, writes
// warnings and errors to stderr, and is gone within 2 s after SIGTERM.
//
//   --port N            0 takes a free one; default 5000
//   --seed N            of the simulation; default 1
//   --speed X           simulated seconds per real second; 0 pushes nothing by itself; default 60
//   --token NAME:USER   a token that is good from the start; may be repeated
//   --timer NAME:MS     of SignalR, for all hubs; may be repeated. NAME is handshake, keepAlive, client,
//                       poll, disconnect or close
//
// Hubs. Live is the one of app/demo/contract.ts, and its groups span its three paths. A token is sent as
// "Authorization: Bearer NAME" or "?access_token=NAME", and names the user on the open paths too.
//
//   /hubs/live           /hubs/stateful-live    /hubs/secure-live    LiveHub
//   /hubs/probe          /hubs/stateful         /hubs/secure         ProbeHub
//   /hubs/detailed                                                   ProbeHub with detailed errors
//   /hubs/ws-only        /hubs/sse-only         /hubs/lp-only        ProbeHub with one transport
//   /hubs/binary                                                     ProbeHub, also with BinaryProtocol
//   /hubs/plain                                                      ProbeHub without the cookie
//   /hubs/modern                                                     ProbeHub, negotiateVersion 1 at least
//   /hubs/expiring                                                   ProbeHub, ends with the user's authentication
//
// "stateful" allows stateful reconnects, "secure" wants a token. POST /hubs/probe/negotiate sets the cookie "probe".
//
// Control. Replies are JSON, or empty; 404 for what does not exist, 400 for a wrong parameter.
//
//   POST   /control/publish?match=7[&count=50][&intervalMs=0][&market=1x2]
//                 OddsChanged, with the first price changed and a rising "sequence"; {first,last} when all are sent
//   POST   /control/announce?text=T             Announcement to everybody; {id}
//   POST   /control/raw {target,args,group?}    any push of the live hub, to a group or everybody
//   POST   /control/ticker?sport=tennis&text=T  one line of the ticker
//   DELETE /control/ticker?sport=tennis         ends the streams of the ticker that run now
//   POST   /control/ask?connectionId=C[&timeoutMs=5000]
//                 asks that client Ask("q"); {answer} or {error}
//   POST   /control/abort[?connectionId=C][&hub=/hubs/live][&hard=true]
//                 ends connections; {aborted}. "hard" cuts TCP without a Close (not of long polling)
//   POST   /control/token?name=N&user=U         makes a token good
//   DELETE /control/token?name=N                revokes it; who is connected stays
//   GET    /control/connections                 [{connectionId,hub,user}] of all hubs
//   GET    /control/stats                       HubStats of the live hub
//   GET    /control/log?match=7                 the sequences of the last 100,000 OddsChanged of a match
//   GET    /control/negotiates                  POSTs to negotiate by hub path, refused ones too

using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Connections;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Protocol;
using Origin;

Options options;
try
{
    options = Options.Parse(args);
}
catch (FormatException error)
{
    Console.Error.WriteLine(error.Message);
    return 2;
}

// The folder of the program, not the one it is run in: the host watches its content root for settings.
var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, options.Port));
builder.Logging.SetMinimumLevel(LogLevel.Warning);
builder.Logging.AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(1));

builder.Services.AddSingleton(options);
builder.Services.AddSingleton<Stats>();
builder.Services.AddSingleton<Connections>();
builder.Services.AddSingleton<Negotiates>();
builder.Services.AddSingleton<Tokens>();
builder.Services.AddSingleton<Board>();
builder.Services.AddHostedService<Simulation>();

// The core only: AddAuthentication would bring data protection too, which keeps keys in the user's home.
builder.Services.AddAuthenticationCore(schemes => schemes.AddScheme<BearerHandler>(BearerHandler.Name, null));
builder.Services.AddWebEncoders();
builder.Services.AddAuthorization();
builder.Services.AddSignalR(hub =>
{
    hub.AddFilter<Connections>();
    hub.SupportedProtocols = ["json"];
    hub.HandshakeTimeout = Timer("handshake") ?? hub.HandshakeTimeout;
    hub.KeepAliveInterval = Timer("keepAlive") ?? hub.KeepAliveInterval;
    hub.ClientTimeoutInterval = Timer("client") ?? hub.ClientTimeoutInterval;
})
    .AddHubOptions<LiveHub>(hub => hub.AddFilter<Stats>())
    .AddHubOptions<DetailedHub>(hub => hub.EnableDetailedErrors = true)
    .AddHubOptions<BinaryHub>(hub => hub.SupportedProtocols = ["json", "messagepack"]);
builder.Services.AddSingleton<IHubProtocol, BinaryProtocol>();

builder.Services.Configure<ConnectionOptions>(connection =>
    connection.DisconnectTimeout = Timer("disconnect") ?? connection.DisconnectTimeout);

var app = builder.Build();

// Before authorization, so that refused requests count as well.
app.Use((context, next) =>
{
    context.RequestServices.GetRequiredService<Negotiates>().Observe(context);
    if (context.Request.Path == "/hubs/probe/negotiate")
    {
        context.Response.Cookies.Append("probe", Guid.NewGuid().ToString("N"));
    }
    return next(context);
});
app.UseAuthentication();
app.UseAuthorization();

Map<LiveHub>("/hubs/live");
Map<LiveHub>("/hubs/stateful-live", http => http.AllowStatefulReconnects = true);
Map<LiveHub>("/hubs/secure-live").RequireAuthorization();
Map<ProbeHub>("/hubs/probe");
Map<ProbeHub>("/hubs/stateful", http => http.AllowStatefulReconnects = true);
Map<ProbeHub>("/hubs/secure").RequireAuthorization();
Map<DetailedHub>("/hubs/detailed");
Map<BinaryHub>("/hubs/binary");
Map<ProbeHub>("/hubs/ws-only", http => http.Transports = HttpTransportType.WebSockets);
Map<ProbeHub>("/hubs/sse-only", http => http.Transports = HttpTransportType.ServerSentEvents);
Map<ProbeHub>("/hubs/lp-only", http => http.Transports = HttpTransportType.LongPolling);
Map<ProbeHub>("/hubs/plain");
Map<ProbeHub>("/hubs/modern", http => http.MinimumProtocolVersion = 1);
Map<ProbeHub>("/hubs/expiring", http => http.CloseOnAuthenticationExpiration = true).RequireAuthorization();
app.MapControl();

// SignalR waits 5 s for its connections whatever the shutdown timeout, and an open stateful one does not end by itself.
app.Lifetime.ApplicationStopping.Register(() => _ = Task.Delay(1_500).ContinueWith(_ => Environment.Exit(0)));

await app.StartAsync();
Console.WriteLine($"origin listening on {app.Urls.Single()}");
await app.WaitForShutdownAsync();
return 0;

TimeSpan? Timer(string name) => options.Timers.TryGetValue(name, out var duration) ? duration : null;

HubEndpointConventionBuilder Map<THub>(string path, Action<HttpConnectionDispatcherOptions>? configure = null)
    where THub : Hub => app.MapHub<THub>(path, http =>
    {
        http.LongPolling.PollTimeout = Timer("poll") ?? http.LongPolling.PollTimeout;
        http.WebSockets.CloseTimeout = Timer("close") ?? http.WebSockets.CloseTimeout;
        configure?.Invoke(http);
    });
