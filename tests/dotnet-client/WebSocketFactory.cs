using System.IO.Pipelines;
using System.Net;
using System.Net.WebSockets;
using System.Text.Json;
using Microsoft.AspNetCore.Connections;

namespace Client;

/// <summary>
/// Connects as the official client's HTTP package does, which negotiates and then opens a WebSocket: that part is ours,
/// everything above it is the official client's.
/// </summary>
sealed class WebSocketFactory(HttpClient http) : IConnectionFactory
{
    public async ValueTask<ConnectionContext> ConnectAsync(EndPoint endpoint, CancellationToken cancellation)
    {
        var hub = ((UriEndPoint)endpoint).Uri;
        using var response = await http.PostAsync(new Uri($"{hub}/negotiate?negotiateVersion=1"), null, cancellation);
        response.EnsureSuccessStatusCode();
        var offer = await response.Content.ReadFromJsonAsync<JsonElement>(cancellation);
        var id = offer.GetProperty("connectionId").GetString()!;
        var token = offer.GetProperty("connectionToken").GetString()!;

        var socket = new ClientWebSocket();
        await socket.ConnectAsync(new UriBuilder(hub) { Scheme = "ws", Query = $"id={token}" }.Uri, cancellation);
        var (transport, application) = CreatePipes();
        _ = Pump(socket, application);
        return new DefaultConnectionContext(id, transport, application);
    }

    static (IDuplexPipe Transport, IDuplexPipe Application) CreatePipes()
    {
        var (inbound, outbound) = (new Pipe(), new Pipe());
        return (new Duplex(inbound.Reader, outbound.Writer), new Duplex(outbound.Reader, inbound.Writer));
    }

    /// <summary>Carries bytes both ways until one end has no more.</summary>
    static async Task Pump(ClientWebSocket socket, IDuplexPipe application)
    {
        var sending = Send(socket, application.Input);
        Exception? failure = null;
        try
        {
            while (true)
            {
                var received = await socket.ReceiveAsync(application.Output.GetMemory(4096), default);
                if (received.MessageType == WebSocketMessageType.Close)
                {
                    break;
                }
                application.Output.Advance(received.Count);
                await application.Output.FlushAsync();
            }
        }
        catch (WebSocketException error)
        {
            failure = error;
        }
        await application.Output.CompleteAsync(failure);
        application.Input.CancelPendingRead();
        await sending;
        socket.Dispose();
    }

    static async Task Send(ClientWebSocket socket, PipeReader input)
    {
        while (true)
        {
            var read = await input.ReadAsync();
            if (read.IsCanceled)
            {
                break;
            }
            try
            {
                if (!read.Buffer.IsEmpty)
                {
                    await socket.SendAsync(System.Buffers.BuffersExtensions.ToArray(read.Buffer), WebSocketMessageType.Text, true, default);
                }
                if (read.IsCompleted && socket.State == WebSocketState.Open)
                {
                    await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, default);
                }
            }
            catch (WebSocketException)
            {
                break; // the receiving half says why
            }
            input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
            {
                break;
            }
        }
        await input.CompleteAsync();
    }

    sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
