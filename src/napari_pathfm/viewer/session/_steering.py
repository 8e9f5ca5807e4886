"""A click is moved towards the class in hand, by the classifier of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer.session._request import Request
from napari_pathfm.viewer.session._script_record import known_classifier

if TYPE_CHECKING:
    from napari_pathfm.heatmaps import FewShot
    from napari_pathfm.viewer.session._session import Session


class Steering:
    """Steering of the current slide's last click.

    Parameters
    ----------
    session : Session
        Whose classes, clicks and generator.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def classifier(self) -> FewShot | None:
        """Of the classes of the current slide, if there is one."""
        answer = self._session.classes.answer
        return None if answer is None else answer.classifier

    @property
    def towards(self) -> str | None:
        """The class in hand, if the classifier knows it."""
        classes, classifier = self._session.classes.list, self.classifier
        if classifier is None or not len(classes):
            return None
        name = classes.items[classes.current].name
        return name if name in classifier.names else None

    def begin(self) -> None:
        """Steer the last place clicked to be like towards the class in hand."""
        session, synthesis = self._session, self._session.synthesis
        classifier, towards, place = self.classifier, self.towards, synthesis.target
        if classifier is None or towards is None:
            session.say("Label two classes first, and choose the one to steer to.")
            return
        if place is None:
            session.say("Click the tissue to steer.")
            return
        state = synthesis.ready(place)
        spec = session.models.generator_spec(synthesis.generator)
        if state is None or spec is None:
            return
        try:
            session.models.check_steering(classifier, towards, spec)
        except PathfmError as error:
            session.report(error)
            return

        request = Request(
            "steer",
            (place,),
            {
                "classifier": classifier,
                "towards": towards,
                "frames": synthesis.frames,
            },
            known_classifier(session, state),
        )
        title = f"Steering towards {towards}"
        synthesis.run(title, request, state, place, [place])
