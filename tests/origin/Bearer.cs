using System.Collections.Concurrent;
using System.Security.Claims;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;

namespace Origin;

/// <summary>The tokens that are good now, each with its user. Who is connected stays so when a token goes.</summary>
sealed class Tokens(Options options) : ConcurrentDictionary<string, string>(options.Tokens);

/// <summary>
/// Takes the token from <c>Authorization: Bearer</c>, or from the query as browsers must send it.
/// With <c>expiresInMs</c> in the query, what it proves holds for that time.
/// </summary>
sealed class BearerHandler(
    Tokens tokens,
    IOptionsMonitor<AuthenticationSchemeOptions> options,
    ILoggerFactory logger,
    UrlEncoder encoder) : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    public const string Name = "Bearer";

    protected override Task<AuthenticateResult> HandleAuthenticateAsync() => Task.FromResult(Authenticate());

    AuthenticateResult Authenticate()
    {
        var header = Request.Headers.Authorization.ToString();
        var token = header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase)
            ? header["Bearer ".Length..]
            : Request.Query["access_token"].ToString();
        if (token.Length == 0)
        {
            return AuthenticateResult.NoResult();
        }
        if (!tokens.TryGetValue(token, out var user))
        {
            return AuthenticateResult.Fail("Unknown token");
        }
        var identity = new ClaimsIdentity([new Claim(ClaimTypes.NameIdentifier, user)], Scheme.Name);
        var properties = new AuthenticationProperties();
        if (int.TryParse(Request.Query["expiresInMs"], out var ms))
        {
            properties.ExpiresUtc = TimeProvider.GetUtcNow().AddMilliseconds(ms);
        }
        return AuthenticateResult.Success(new(new ClaimsPrincipal(identity), properties, Scheme.Name));
    }
}
