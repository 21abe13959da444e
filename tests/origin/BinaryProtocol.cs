using System.Buffers;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Protocol;

namespace Origin;

/// <summary>
/// As much of the MessagePack hub protocol as a connection needs to begin and to end: pings and Close.
/// The protocol itself is in a package of its own, and nothing here shall need one.
/// </summary>
sealed class BinaryProtocol : IHubProtocol
{
    const byte Nil = 0xC0, False = 0xC2, True = 0xC3, ArrayOf1 = 0x91, ArrayOf3 = 0x93;

    public string Name => "messagepack";

    public int Version => 2;

    public TransferFormat TransferFormat => TransferFormat.Binary;

    public bool IsVersionSupported(int version) => version <= Version;

    public ReadOnlyMemory<byte> GetMessageBytes(HubMessage message) => message switch
    {
        PingMessage => new byte[] { 2, ArrayOf1, HubProtocolConstants.PingMessageType },
        CloseMessage { Error: null } close => new byte[]
        {
            4, ArrayOf3, HubProtocolConstants.CloseMessageType, Nil, close.AllowReconnect ? True : False,
        },
        _ => throw new NotSupportedException($"Cannot write {message}"),
    };

    public void WriteMessage(HubMessage message, IBufferWriter<byte> output) => output.Write(GetMessageBytes(message).Span);

    public bool TryParseMessage(ref ReadOnlySequence<byte> input, IInvocationBinder binder, out HubMessage message)
    {
        message = PingMessage.Instance;
        var bytes = input.ToArray();
        if (bytes.Length == 0 || bytes.Length <= bytes[0])
        {
            return false;
        }
        message = bytes[2] switch
        {
            HubProtocolConstants.PingMessageType => PingMessage.Instance,
            HubProtocolConstants.CloseMessageType => CloseMessage.Empty,
            var type => throw new InvalidDataException($"Cannot read a message of type {type}"),
        };
        input = input.Slice(bytes[0] + 1);
        return true;
    }
}
