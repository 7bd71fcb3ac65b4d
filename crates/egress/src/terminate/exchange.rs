//! How does an allowed request reach its host, and what of the answer reaches the box?

use super::body::{Outgoing, Payload, Returning};
use super::case::Case;
use super::decode::Decoder;
use super::inject::Masked;
use super::planted;
use super::request::{self, HttpRequest};
use super::{Answer, RequestJudge, Session, websocket};
use crate::http;
use crate::name::SecretName;
use crate::refuse::{APPROVAL_HEADER, REASON_HEADER, Refusal};
use http_body_util::{Either, Full};
use hyper::body::{Body as _, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use std::sync::{Arc, PoisonError};

impl<J: RequestJudge> Session<J> {
    /// Sends a request with the secret that was granted. A value that the host turns away is asked for anew, and what
    /// only reads is sent once more with it.
    pub(super) async fn forward(
        &self,
        seen: &HttpRequest,
        (mut parts, body): (Parts, Incoming),
        secret: Option<&SecretName>,
        case: &mut Case<J>,
    ) -> Result<Response<Incoming>, Refusal> {
        let target = &self.upstream.target;
        let injector = &self.terminator.injector;
        request::set_host(&mut parts.headers, target, seen.is_secure())?;
        let again = secret.filter(|_| seen.is_repeatable()).map(|_| parts.clone());
        let mut query = seen.query().map(str::to_owned);
        let watch = injector.watch((&self.judge, target), &parts.headers);
        let limit = self.allowances.body(target);
        let mut body = planted::looked_into(body, watch, &parts.headers, limit).await?;
        if let Some(secret) = secret {
            let head = (&mut parts, &mut query);
            body = injector.inject(secret, (target, seen), head, body).await?;
        }
        let mut response = self.dispatch(seen, (parts, query), body, case).await?;
        let turned = response.status() == StatusCode::UNAUTHORIZED;
        if let Some(secret) = secret.filter(|secret| turned && injector.turned_away(secret))
            && let Some(mut parts) = again
            && self.allowances.take_request(target, seen.size()).is_ok()
        {
            let mut query = seen.query().map(str::to_owned);
            injector.renew(secret, (target, seen), (&mut parts, &mut query)).await?;
            let nothing = Payload::Whole(Full::default());
            response = self.dispatch(seen, (parts, query), nothing, case).await?;
        }
        case.outcome.status = Some(response.status().as_u16());
        Ok(response)
    }

    async fn dispatch(
        &self,
        seen: &HttpRequest,
        (mut parts, query): (Parts, Option<String>),
        body: Payload,
        case: &Case<J>,
    ) -> Result<Response<Incoming>, Refusal> {
        let target = &self.upstream.target;
        parts.uri = seen.uri(target, query.as_deref())?;
        let bound = (Arc::clone(&case.out), self.allowances.body(target));
        let body = Outgoing::new(body, bound);
        self.upstream.send(Request::from_parts(parts, body)).await
    }

    pub(super) async fn upgrade(
        &self,
        seen: &HttpRequest,
        request: (Parts, Incoming),
    ) -> Result<Response<Incoming>, Refusal> {
        let (response, upgraded) = websocket::ask(self, seen, request).await?;
        if let Some(upgraded) = upgraded {
            self.signals.upgrade();
            *self.upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgraded);
        }
        Ok(response)
    }

    /// Makes of the target's answer what the box gets.
    pub(super) fn hand_back(
        &self,
        response: Response<Incoming>,
        mut case: Case<J>,
    ) -> Result<Answer<J>, Refusal> {
        let (mut parts, body) = response.into_parts();
        let switching = parts.status == StatusCode::SWITCHING_PROTOCOLS;
        if !switching {
            http::strip_hop_by_hop(&mut parts.headers);
        }
        // Another way to the same host would not come past here.
        for name in ["alt-svc", REASON_HEADER, APPROVAL_HEADER] {
            parts.headers.remove(name);
        }
        // The words beside the status are the target's to choose, and no redactor would see them.
        parts.extensions.remove::<ReasonPhrase>();
        let bound = self.terminator.injector.binds(&self.upstream.target);
        let mut through = (None, None);
        if bound && !switching {
            through = match self.clean(&mut parts, &body, &mut case) {
                Ok((decoder, mask)) => (decoder, Some(mask)),
                Err(refusal) => return Err(case.refuse(refusal)),
            };
        }
        parts.version = hyper::Version::default();
        let body = Returning::new(body, through, case, self.terminator.limits.idle);
        Ok(Response::from_parts(parts, Either::Left(body)))
    }

    /// Takes what the box must not have out of a bound host's head, and says what its body goes through.
    fn clean(
        &self,
        head: &mut hyper::http::response::Parts,
        body: &Incoming,
        case: &mut Case<J>,
    ) -> Result<(Option<Decoder>, Masked), Refusal> {
        let injector = &self.terminator.injector;
        case.hidden(injector.mask_headers(&mut head.headers)?);
        head.headers.remove(header::SET_COOKIE);
        let mask = injector.mask()?;
        // The length that a HEAD tells is not that of a body that could change.
        if body.is_end_stream() {
            return Ok((None, mask));
        }
        let decoder = Decoder::of(head)?;
        head.headers.remove(header::CONTENT_LENGTH);
        Ok((decoder, mask))
    }
}
