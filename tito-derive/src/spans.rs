//! Output that lies, for the compiler, where the user's tokens are: what it says of the one, it shows at the other.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Path;

/// Where the tokens begin and where they end. (There is no span of all of them in stable Rust, but what begins at the
/// first and ends at the last is shown as all of them.)
fn ends(tokens: &impl ToTokens) -> (Span, Span) {
    let mut tokens = tokens.to_token_stream().into_iter();
    let first = tokens.next().map_or_else(Span::call_site, |token| token.span());
    (first, tokens.last().map_or(first, |token| token.span()))
}

/// `<ty as path>::item`, at the type.
pub(crate) fn as_trait(ty: &impl ToTokens, path: TokenStream, item: TokenStream) -> TokenStream {
    let (first, last) = ends(ty);
    let open = quote_spanned!(first=> <);
    let item = item.into_iter().map(|mut token| {
        token.set_span(last);
        token
    });
    let item: TokenStream = item.collect();
    quote!(#open #ty as #path>::#item)
}

/// `root` followed by `rest`, at other tokens.
pub(crate) fn placed(place: &impl ToTokens, root: &Path, rest: TokenStream) -> TokenStream {
    let (first, last) = ends(place);
    // A root such as `$crate` means something else elsewhere.
    let root = root.to_token_stream().into_iter().map(|mut token| {
        token.set_span(token.span().located_at(first));
        token
    });
    let rest = rest.into_iter().map(|mut token| {
        token.set_span(last);
        token
    });
    root.chain(rest).collect()
}

/// `&inner`, at other tokens.
pub(crate) fn borrow(place: &impl ToTokens, inner: TokenStream) -> TokenStream {
    let (first, _) = ends(place);
    let ampersand = quote_spanned!(first=> &);
    quote!(#ampersand #inner)
}

/// `(inner)`, at the end of other tokens.
pub(crate) fn group(place: &impl ToTokens, inner: TokenStream) -> TokenStream {
    let (_, last) = ends(place);
    let mut group = Group::new(Delimiter::Parenthesis, inner);
    group.set_span(last);
    group.into_token_stream()
}
