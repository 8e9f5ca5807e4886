/*
 * Run this: the slide opens in napari with the panel, and all annotations on it.
 *
 * What you change there and save as GeoJSON (File > Save in napari) keeps its ids: drag
 * the file onto QuPath, and remove the old objects.
 *
 * Written to QuPath's public scripting API (0.5 and later); NOT run in QuPath itself.
 */
import groovy.json.JsonSlurper
import qupath.lib.common.GeneralTools
import qupath.lib.io.PathIO
import static qupath.lib.scripting.QP.*

// The program: its full path where QuPath does not find it (`which napari-pathfm` tells).
def PROGRAM = "napari-pathfm"
// Where embeddings and results are kept; null is the folder napari-pathfm of your home.
def FOLDER = null

// ---- the same in every script of this folder ---------------------------------------------
def stop = { String why -> throw new RuntimeException("napari-pathfm: " + why) }
def server = getCurrentServer()
if (server == null) stop("open an image first")
def uris = server.getURIs()
def slide = uris.isEmpty() ? null : GeneralTools.toPath(uris.iterator().next())?.toString()
if (slide == null) stop("this image is not a file on this computer")
def mpp = server.getPixelCalibration().getAveragedPixelSizeMicrons()
if (!Double.isFinite(mpp)) stop("set the pixel size in QuPath's Image tab first")
mpp = mpp as String
def folder = new File(FOLDER ?: new File(System.getProperty("user.home"), "napari-pathfm").path)
folder.mkdirs()
// Runs one command; gives what it prints as JSON. Its last line of complaint is ours.
def ask = { List<String> words ->
    println "napari-pathfm " + words.join(" ")
    def complaints = File.createTempFile("napari-pathfm", ".txt")
    def process = new ProcessBuilder([PROGRAM] + words).redirectError(complaints).start()
    process.outputStream.close()
    def told = process.inputStream.getText("UTF-8")
    def code = process.waitFor()
    def lines = complaints.readLines("UTF-8").findAll { !it.isBlank() }
    complaints.delete()
    if (code != 0) stop(lines ? lines.last() : "it ended with code " + code)
    return new JsonSlurper().parseText(told)
}
// QuPath can show a part of a slide, or turn it; places would not mean the same then.
def info = ask(["info", slide, "--mpp", mpp, "--json"])
if (info.dimensions != [server.getWidth(), server.getHeight()])
    stop("QuPath shows " + server.getWidth() + " x " + server.getHeight() + " px of a slide of " +
        info.dimensions.join(" x ") + " px (cropped, turned or another series): not supported")
// A place within each object: the centroid of a curved one may lie outside it.
def place = { object ->
    def inside = object.getROI().getGeometry().getInteriorPoint()
    return String.format(Locale.ROOT, "%.2f,%.2f", inside.getX(), inside.getY())
}
// Objects keep their ids from run to run: the new ones take the places of the old.
def take = { String file ->
    def objects = PathIO.readObjects(new File(file))
    def ids = objects.collect { it.getID() } as Set
    def old = getAllObjects(false).findAll { ids.contains(it.getID()) }
    removeObjects(old, true)
    addObjects(objects)
    return objects.size()
}
// -----------------------------------------------------------------------------------------

def objects = getAllObjects(false).findAll { it.isAnnotation() }
def words = ["view", slide]
if (!objects.isEmpty()) {
    def file = new File(folder, "annotations.geojson").path
    exportObjectsToGeoJson(objects, file, "FEATURE_COLLECTION")
    words += [file]
}
// napari stays open by itself; QuPath does not wait for it.
println "napari-pathfm " + words.join(" ")
new ProcessBuilder([PROGRAM] + words).inheritIO().start()
